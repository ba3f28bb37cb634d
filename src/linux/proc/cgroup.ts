// Control groups, as /proc/PID/cgroup names them: of cgroup v2 and of every hierarchy of v1.

import { host } from "../../../ffi/deno.ts";
import { withFallback } from "../../../ffi/errno.ts";
import { readDirectory, readTextFile } from "../../../ffi/files.ts";
import { statx } from "../../../ffi/fs.ts";
import { cgroupMounts } from "./mountinfo.ts";
import { glob, isGlob } from "../../model/glob.ts";
import { readFile, self } from "./process.ts";

/** Returns the paths in a /proc/PID/cgroup, one for each hierarchy. Roots are left out. */
export function cgroupPaths(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    // ID:CONTROLLERS:PATH, where ID is 0 for cgroup v2
    const [, path] = /^\d+:[^:]*:(\/.+)$/.exec(line) ?? [];
    return path === undefined ? [] : [path.replace(/ \(deleted\)$/, "")];
  });
}

/** Returns the control groups of a process, as `cgroupPaths`; none when the process has ended. */
export function cgroupsOf(pid: number): string[] {
  return cgroupPaths(readFile(`/proc/${pid}/cgroup`) ?? "");
}

/** `docker-….scope`, `libpod-conmon-….scope`, or the id alone. */
const CONTAINER_NAME = /^(?:([a-z][a-z-]*)-)?([0-9a-f]{64})(?:\.scope)?$/;

/**
 * Returns the id of the container that a cgroup belongs to, as Docker, containerd, CRI-O and Podman name cgroups: 64
 * hexadecimal digits, alone or as in `docker-….scope`. null for a cgroup of none, and for that of a container's monitor.
 * The outermost name counts: below it a container may make cgroups of whatever names.
 */
export function containerOf(paths: readonly string[]): string | null {
  for (const path of paths) {
    for (const name of path.split("/")) {
      const [, prefix, id] = CONTAINER_NAME.exec(name) ?? [];
      if (id !== undefined) return prefix?.endsWith("conmon") ? null : id;
    }
  }
  return null;
}

/** Returns the id in Kubernetes' `<type>://<container_id>` of a ContainerStatus. An id without a type stays as it is. */
export function withoutRuntime(id: string): string {
  return id.replace(/^[a-z][a-z0-9-]*:\/\//, "");
}

/** Decides whether a cgroup is selected, by its path from the root of its hierarchy. */
export type CgroupMatcher = (path: string) => boolean;

const POD = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const ID = /^[0-9a-f]{12,64}$/;

/**
 * Compiles a text that names cgroups. Cgroups below a named one are selected too:
 *
 * - `/system.slice/nginx.service`, a path from the root of a hierarchy, or from where that is mounted;
 * - `nginx.service`, `kubepods.slice/*`: a name, or several, at any depth but below a service, a scope or a container:
 *   there cgroups may be made and named by those who run in it;
 * - the UID of a Kubernetes pod, the id of a container (the outermost, as `containerOf` has it) or 12 digits of its start.
 */
export function cgroupMatcher(text: string, mountPoints: readonly string[]): CgroupMatcher {
  const pattern = belowMount(text, mountPoints);
  if (pattern === "/") return () => true;
  if (pattern.startsWith("/")) return groupOrBelow(pattern);
  const isNamed = nameMatcher(POD.test(pattern) ? podName(pattern) : pattern);
  if (!ID.test(pattern)) return isNamed;
  return (path) => containerOf([path])?.startsWith(pattern) || isNamed(path);
}

function groupOrBelow(pattern: string): CgroupMatcher {
  const [itself, below] = [glob(pattern), glob(`${pattern}/**`)];
  return (path) => itself(path) || below(path);
}

/** Matches names down to the first cgroup that may be delegated. Below it, others may name cgroups as they like. */
function nameMatcher(pattern: string): CgroupMatcher {
  const matches = groupOrBelow(pattern);
  return (path) => {
    const names = path.split("/").slice(1);
    const delegating = names.findIndex(mayDelegate);
    const ends = delegating < 0 ? names : names.slice(0, delegating + 1);
    return ends.some((_, i) => matches(names.slice(i).join("/")));
  };
}

/** Whether a cgroup may be delegated to its processes: a unit of systemd (Delegate=), or a container. */
function mayDelegate(name: string): boolean {
  return /\.(?:service|scope)$|^lxc\.payload\./.test(name) || CONTAINER_NAME.test(name);
}

/** Returns a pattern for the cgroup of a pod. In systemd's names "-" separates levels, so the UID has "_" instead. */
function podName(uid: string): string {
  return `*pod${uid.toLowerCase().replaceAll("-", "[-_]")}*`;
}

function belowMount(text: string, mountPoints: readonly string[]): string {
  const trimmed = text.replace(/(.)\/+$/, "$1");
  const [mount = ""] = mountPoints.filter((point) => trimmed === point || trimmed.startsWith(`${point}/`))
    .sort((a, b) => b.length - a.length);
  return trimmed.slice(mount.length) || "/";
}

/** The usual mount points. `ip netns exec` hides these mounts from the command that it starts. */
const USUAL_POINTS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/** Returns the mount points of the hierarchies of control groups. */
export function mountPoints(): string[] {
  const mounts = cgroupMounts(readTextFile("/proc/self/mountinfo"));
  return [...new Set([...USUAL_POINTS, ...mounts.map(({ point }) => point)])];
}

/** Whether a cgroup exists, with or without processes. A pattern may match none. */
export function cgroupExists(text: string, matches: CgroupMatcher, mountPoints: readonly string[]): boolean {
  return isGlob(text) || mountPoints.some((point) => !outermostBelow(point, "", matches).next().done);
}

/** Returns where cgroup v2 is mounted, and where there are several mounts that with the most; null where it is not. */
export function unifiedPoint(): string | null {
  const mounts = cgroupMounts(readTextFile("/proc/self/mountinfo")).filter(({ unified }) => unified);
  return mounts.sort((a, b) => b.height - a.height)[0]?.point ?? null;
}

/** The inode number of the root of a hierarchy. */
const ROOT_INODE = 1;

/** Whether a mount of cgroup v2 begins at the host's root, not at that of a container. */
export function isHostRoot(point: string): boolean {
  return statx(null, point).ino === ROOT_INODE;
}

/**
 * Returns the path of a process's control group of cgroup v2, from the root of the hierarchy; null when the process has
 * ended.
 */
export function unifiedCgroupOf(pid: number): string | null {
  const [, path = null] = /^0::(\/.*)$/m.exec(readFile(`/proc/${pid}/cgroup`) ?? "") ?? [];
  return path?.replace(/ \(deleted\)$/, "") ?? null;
}

/** A control group of cgroup v2. */
export interface UnifiedCgroup {
  /** Its path from the root of the hierarchy, as this process sees it. */
  readonly path: string;
  readonly directory: string;
}

/** Returns the control group of this process; null where no mount of cgroup v2 shows it. */
export function ownCgroup(): UnifiedCgroup | null {
  const path = unifiedCgroupOf(self());
  if (path === null) return null;
  const mounts = cgroupMounts(readTextFile("/proc/self/mountinfo")).filter(({ unified }) => unified);
  const directories = mounts.map(({ point }) => path === "/" ? point : point + path);
  // A mount may begin elsewhere than the path does.
  const directory = directories.find((directory) => membersOf(directory).includes(String(host.pid)));
  return directory === undefined ? null : { path, directory };
}

function membersOf(directory: string): string[] {
  return withFallback("", () => readTextFile(`${directory}/cgroup.procs`)).split("\n");
}

/** Returns the paths of the control groups that match and are not below one that matches. The root is `/`. */
export function outermostCgroups(point: string, matches: CgroupMatcher): string[] {
  return matches("/") ? ["/"] : [...outermostBelow(point, "", matches)];
}

/** Searches no further than the caller asks for. */
function* outermostBelow(point: string, path: string, matches: CgroupMatcher): Generator<string> {
  for (const name of directories(point + path)) {
    const below = `${path}/${name}`;
    if (matches(below)) yield below;
    else yield* outermostBelow(point, below, matches);
  }
}

function directories(path: string): string[] {
  // A cgroup may be removed at any moment.
  return withFallback([], () => readDirectory(path)).filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
}
