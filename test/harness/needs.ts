// What a test needs of the machine. Where something is missing the test is skipped, and its name says what that is.

import { shareDescriptors } from "../../ffi/process.ts";
import { POSTGRESQL } from "./postgresql.ts";

/** Something that a test needs. */
export interface Requirement {
  /** Whether root on any machine can have it, so that continuous integration has no excuse. */
  obtainable: boolean;
  /** Returns whether it is at hand. */
  present: () => boolean;
}

type TestBody = () => void | Promise<void>;

const PATH = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin"];

export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

export function hasProgram(name: string): boolean {
  return PATH.some((directory) => exists(`${directory}/${name}`));
}

/** Debian's own Python, which every user of the host may run. */
export const PYTHON = "/usr/bin/python3";

/** What bash-completion is loaded from. */
export const BASH_COMPLETION = "/usr/share/bash-completion/bash_completion";

/** Where Debian's packages of libraries for aarch64, on another machine, are. */
export const AARCH64_ROOT = "/usr/aarch64-linux-gnu";

/** What .ci/install installs and goes by the name of its program. */
const PROGRAMS = [
  ...["nginx", "redis-server", "haproxy", "dnsmasq", "curl", "wrk", "setpriv", "script", "sysctl", "strace", "tmux"],
  ...["unshare", "busybox", "podman", "runc", "bash", "zsh", "fish", "groff", "git", "go", "gofmt", "man", "npm"],
  ...["iptables", "ansible-playbook", "ansible-lint", "systemd-analyze", "xz", "zstd", "qemu-aarch64"],
] as const;

type Installed =
  | typeof PROGRAMS[number]
  | (
    | "iproute2"
    | "python3"
    | "/etc/services"
    | "psycopg"
    | "psycopg2"
    | "redis-py"
    | "postgresql"
    | "bash-completion"
    | "glibc for aarch64"
  );

function installed(present: () => boolean): Requirement {
  return { obtainable: true, present };
}

/** What .ci/install installs. */
export const INSTALLED = {
  ...Object.fromEntries(PROGRAMS.map((name) => [name, installed(() => hasProgram(name))])),
  iproute2: installed(() => hasProgram("ip")),
  python3: installed(() => exists(PYTHON)),
  "/etc/services": installed(() => exists("/etc/services")),
  psycopg: installed(() => exists("/usr/lib/python3/dist-packages/psycopg_pool")),
  psycopg2: installed(() => exists("/usr/lib/python3/dist-packages/psycopg2")),
  "redis-py": installed(() => exists("/usr/lib/python3/dist-packages/redis")),
  postgresql: installed(() => POSTGRESQL !== null),
  "bash-completion": installed(() => exists(BASH_COMPLETION)),
  "glibc for aarch64": installed(() => exists(`${AARCH64_ROOT}/lib/ld-linux-aarch64.so.1`)),
} as Record<Installed, Requirement>;

/** Returns whether a process of a user other than this one is there, or can be: the first one, in a container, may be ours. */
function isAmongOthers(): boolean {
  return Deno.uid() === 0 || (exists("/proc/1") && Deno.statSync("/proc/1").uid !== Deno.uid());
}

/** Returns whether kcmp(2) may be called, which container runtimes forbid without CAP_SYS_PTRACE. */
function mayCompareTables(): boolean {
  try {
    return shareDescriptors(Deno.pid, Deno.pid);
  } catch {
    return false;
  }
}

/**
 * Makes the function that registers tests. Where something that a test needs is missing it skips the test; in continuous
 * integration (CI=true) the test fails instead, if what is missing could be there.
 */
export function testWith<Need extends string>(requirements: Record<Need, Requirement>) {
  return (name: string, needs: readonly Need[], body: TestBody): void => {
    const missing = needs.filter((need) => !requirements[need].present());
    const inexcusable = missing.filter((need) => requirements[need].obtainable);
    Deno.test({
      name: missing.length > 0 ? `${name} (needs ${missing.join(", ")})` : name,
      ignore: missing.length > 0 && !(Deno.env.get("CI") === "true" && inexcusable.length > 0),
      async fn() {
        if (missing.length > 0) throw new Error(`not here, although it could be: ${inexcusable.join(", ")}`);
        await body();
      },
    });
  };
}

function hasMptcp(): boolean {
  const path = "/proc/sys/net/mptcp/enabled";
  return exists(path) && Deno.readTextFileSync(path).trim() === "1";
}

export function kernel(path: string): Requirement {
  return { obtainable: false, present: () => exists(path) };
}

/** What is needed by tests of single functions. */
export const FUNCTION_NEEDS = {
  ...INSTALLED,
  root: { obtainable: true, present: () => Deno.uid() === 0 },
  BTF: kernel("/sys/kernel/btf/vmlinux"),
  MPTCP: { obtainable: false, present: hasMptcp },
  "permission to use kcmp": { obtainable: false, present: mayCompareTables },
  "another user's process": { obtainable: false, present: isAmongOthers },
} satisfies Record<string, Requirement>;

/** Registers a test of single functions that needs something. */
export const functionTest = testWith(FUNCTION_NEEDS);
