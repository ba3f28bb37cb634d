// Control groups, as /proc/PID/cgroup names them: of cgroup v2 and of every hierarchy of v1.

import { isSyscallError } from "../../../ffi/errno.ts";
import { readDirectory, readTextFile } from "../../../ffi/files.ts";
import { cgroupMounts } from "./mountinfo.ts";
import { glob, isGlob } from "../../model/glob.ts";
import { readFile } from "./process.ts";

/** The paths in a /proc/PID/cgroup, one for each hierarchy, without those that are the root. */
export function cgroupPaths(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    // ID:CONTROLLERS:PATH, where ID is 0 for cgroup v2
    const [, path] = /^\d+:[^:]*:(\/.+)$/.exec(line) ?? [];
    return path === undefined ? [] : [path.replace(/ \(deleted\)$/, "")];
  });
}

/** The control groups of a process, as `cgroupPaths` has them; none when it is gone. */
export function cgroupsOf(pid: number): string[] {
  return cgroupPaths(readFile(`/proc/${pid}/cgroup`) ?? "");
}

/** `docker-….scope`, `libpod-conmon-….scope`, or the id alone. */
const CONTAINER_NAME = /^(?:([a-z][a-z-]*)-)?([0-9a-f]{64})(?:\.scope)?$/;

/**
 * The id of the container that a cgroup is of, as Docker, containerd, CRI-O and Podman name cgroups: 64 hexadecimal
 * digits, alone or as in `docker-….scope`. null for a cgroup of none, and for that of a container's monitor. The outermost
 * name counts: below it a container may make cgroups of whatever names.
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

/** Whether a cgroup's path, from the root of its hierarchy, is selected. */
export type CgroupMatcher = (path: string) => boolean;

const POD = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const ID = /^[0-9a-f]{12,64}$/;

/**
 * Reads what is said of a cgroup. All that lies below it is meant too:
 *
 * - `/system.slice/nginx.service`, a path from the root of a hierarchy, or from where that is mounted;
 * - `nginx.service`, `kubepods.slice/*`: a name, or several, at any depth but below a service, a scope or a container: there
 *   cgroups may be made and named by those who run in it;
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

/** Matches names wherever no one stands above the first that may give its cgroup to those who run in it. */
function nameMatcher(pattern: string): CgroupMatcher {
  const matches = groupOrBelow(pattern);
  return (path) => {
    const names = path.split("/").slice(1);
    const delegating = names.findIndex(mayDelegate);
    const ends = delegating < 0 ? names : names.slice(0, delegating + 1);
    return ends.some((_, i) => matches(names.slice(i).join("/")));
  };
}

/** Whether those who run in a cgroup may have it for their own: a unit of systemd's (Delegate=), a container. */
function mayDelegate(name: string): boolean {
  return /\.(?:service|scope)$|^lxc\.payload\./.test(name) || CONTAINER_NAME.test(name);
}

/** systemd's names separate levels with "-", so there the UID has "_" in place of it. */
function podName(uid: string): string {
  return `*pod${uid.toLowerCase().replaceAll("-", "[-_]")}*`;
}

function belowMount(text: string, mountPoints: readonly string[]): string {
  const trimmed = text.replace(/(.)\/+$/, "$1");
  const [mount = ""] = mountPoints.filter((point) => trimmed === point || trimmed.startsWith(`${point}/`))
    .sort((a, b) => b.length - a.length);
  return trimmed.slice(mount.length) || "/";
}

/** Where they are mounted everywhere; `ip netns exec` hides that from what it starts. */
const USUAL_POINTS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/** Where the hierarchies of control groups are mounted. */
export function mountPoints(): string[] {
  const mounts = cgroupMounts(readTextFile("/proc/self/mountinfo"));
  return [...new Set([...USUAL_POINTS, ...mounts.map(({ point }) => point)])];
}

/** Whether there is such a cgroup, with or without processes in it. A pattern is allowed to mean none. */
export function cgroupExists(text: string, matches: CgroupMatcher, mountPoints: readonly string[]): boolean {
  return isGlob(text) || mountPoints.some((point) => search(point, "", matches));
}

function search(point: string, path: string, matches: CgroupMatcher): boolean {
  return directories(point + path).some((name) =>
    matches(`${path}/${name}`) || search(point, `${path}/${name}`, matches)
  );
}

function directories(path: string): string[] {
  try {
    return readDirectory(path).filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
  } catch (error) {
    // A cgroup may be removed at any moment.
    if (isSyscallError(error)) return [];
    throw error;
  }
}
