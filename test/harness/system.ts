// Tests that need a host: each gets a network namespace, and is skipped, with the reason in its name, where it cannot run.

import { CGROUP_ROOT } from "./cgroup.ts";
import { canRunContainers } from "./container.ts";
import { Namespace } from "./namespace.ts";
import { PYTHON } from "./peer.ts";
import { POSTGRESQL } from "./postgresql.ts";
import { AARCH64, BINARY } from "./tcphup.ts";

/** Something that a test needs, and whether it is at hand. */
interface Requirement {
  /** Whether root on any machine can have it, so that continuous integration has no excuse. */
  obtainable: boolean;
  present: boolean;
}

const PATH = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin"];

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function runs(program: string, ...args: string[]): boolean {
  return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
}

const program = (name: string): Requirement => ({
  obtainable: true,
  present: PATH.some((directory) => exists(`${directory}/${name}`)),
});

const kernel = (path: string): Requirement => ({ obtainable: false, present: exists(path) });

/** Linux 6.8 lists sockets that are only bound; 6.9 made descriptor tables of single threads reachable: PIDFD_THREAD. */
function isAtLeast(major: number, minor: number): boolean {
  const [ourMajor = 0, ourMinor = 0] = Deno.osRelease().split(".").map(Number);
  return ourMajor > major || (ourMajor === major && ourMinor >= minor);
}

/** What bash-completion is loaded from. */
export const BASH_COMPLETION = "/usr/share/bash-completion/bash_completion";

/** A part of ansible-test, which would install with pip what its parts need. */
export const VALIDATE_MODULES =
  "/usr/lib/python3/dist-packages/ansible_test/_util/controller/sanity/validate-modules/validate.py";

/** Where Debian's packages of libraries for aarch64, on another machine, are. */
export const AARCH64_ROOT = "/usr/aarch64-linux-gnu";

const REQUIREMENTS = {
  root: { obtainable: true, present: Deno.uid() === 0 },
  iproute2: program("ip"),
  python3: { obtainable: true, present: exists(PYTHON) },
  nginx: program("nginx"),
  "redis-server": program("redis-server"),
  haproxy: program("haproxy"),
  dnsmasq: program("dnsmasq"),
  psycopg2: { obtainable: true, present: exists("/usr/lib/python3/dist-packages/psycopg2") },
  postgresql: { obtainable: true, present: POSTGRESQL !== null },
  curl: program("curl"),
  wrk: program("wrk"),
  setpriv: program("setpriv"),
  javac: { ...program("javac"), obtainable: false },
  script: program("script"),
  sysctl: program("sysctl"),
  strace: program("strace"),
  tmux: program("tmux"),
  unshare: program("unshare"),
  busybox: program("busybox"),
  podman: program("podman"),
  runc: program("runc"),
  bash: program("bash"),
  "bash-completion": { obtainable: true, present: exists(BASH_COMPLETION) },
  zsh: program("zsh"),
  fish: program("fish"),
  groff: program("groff"),
  git: program("git"),
  go: program("go"),
  gofmt: program("gofmt"),
  man: program("man"),
  npm: program("npm"),
  "ansible-playbook": program("ansible-playbook"),
  "ansible-lint": program("ansible-lint"),
  "systemd-analyze": program("systemd-analyze"),
  FUSE: kernel("/dev/fuse"),
  BTF: kernel("/sys/kernel/btf/vmlinux"),
  // Debian 12's is from before kustomizations as they are now.
  kubectl: { ...program("kubectl"), obtainable: false },
  IPv6: kernel("/proc/sys/net/ipv6"),
  "cgroup v2": { obtainable: false, present: CGROUP_ROOT !== null },
  MPTCP: kernel("/proc/sys/net/mptcp/enabled"),
  "IA-32": kernel("/proc/sys/abi/vsyscall32"),
  xz: program("xz"),
  zstd: program("zstd"),
  DENORT_BIN: { obtainable: false, present: Deno.env.has("DENORT_BIN") },
  TCPHUP_COMPILED: { obtainable: false, present: BINARY !== undefined },
  TCPHUP_AARCH64: { obtainable: false, present: AARCH64 !== undefined },
  "qemu-aarch64": program("qemu-aarch64"),
  "glibc for aarch64": { obtainable: true, present: exists(`${AARCH64_ROOT}/lib/ld-linux-aarch64.so.1`) },
  "Linux 6.8": { obtainable: false, present: isAtLeast(6, 8) },
  "Linux 6.9": { obtainable: false, present: isAtLeast(6, 9) },
  // Debian 13 lacks antsibull-docs-parser, which it needs there.
  get "validate-modules"() {
    return { obtainable: false, present: exists(VALIDATE_MODULES) && runs(PYTHON, VALIDATE_MODULES, "--help") };
  },
  get "permission to run containers"() {
    return { obtainable: false, present: canRunContainers() };
  },
} satisfies Record<string, Requirement>;

/** The name of something that a test may need. */
export type Need = keyof typeof REQUIREMENTS;

/** Registers a test that runs in a network namespace of its own, as `hostTest` does. */
export function systemTest(name: string, needs: readonly Need[], body: (netns: Namespace) => Promise<void>): void {
  hostTest(name, ["root", "iproute2", "python3", ...needs], async () => {
    await using netns = await Namespace.create();
    await body(netns);
  });
}

/**
 * Registers a test. Where something that it needs is missing it is skipped; in continuous integration (CI=true) it fails
 * instead, if what is missing could be there.
 */
export function hostTest(name: string, needs: readonly Need[], body: () => Promise<void>): void {
  const missing = needs.filter((need) => !REQUIREMENTS[need].present);
  const inexcusable = missing.filter((need) => REQUIREMENTS[need].obtainable);
  Deno.test({
    name: missing.length > 0 ? `${name} (needs ${missing.join(", ")})` : name,
    ignore: missing.length > 0 && !(Deno.env.get("CI") === "true" && inexcusable.length > 0),
    async fn() {
      if (missing.length > 0) throw new Error(`not here, although it could be: ${inexcusable.join(", ")}`);
      await body();
    },
  });
}
