// Tests that need a host: each gets a network namespace, and is skipped, with the reason in its name, where it cannot run.

import { hasCapability } from "../../src/linux/proc/permissions.ts";
import { runsI386 } from "./built.ts";
import { CGROUP_ROOT } from "./cgroup.ts";
import { canRunContainers } from "./container.ts";
import { Namespace } from "./namespace.ts";
import { exists, FUNCTION_NEEDS, hasProgram, kernel, PYTHON, type Requirement, testWith } from "./needs.ts";
import { AARCH64, BINARY } from "./tcphup.ts";

function runs(program: string, ...args: string[]): boolean {
  return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
}

let permitted: boolean | undefined;

/** Returns whether root may make namespaces, which it may not in most containers. */
function mayMakeNamespaces(): boolean {
  return permitted ??= Deno.uid() !== 0 || !hasProgram("unshare") ||
    runs("unshare", "--net", "--mount", "--pid", "--fork", "true");
}

/** Linux 6.1 lets programs read SO_KEEPALIVE; 6.8 lists sockets that are only bound; 6.9 made descriptor tables of single threads reachable: PIDFD_THREAD. */
function isAtLeast(major: number, minor: number): boolean {
  const [ourMajor = 0, ourMinor = 0] = Deno.osRelease().split(".").map(Number);
  return ourMajor > major || (ourMajor === major && ourMinor >= minor);
}

/** A part of ansible-test, which would install with pip what its parts need. */
export const VALIDATE_MODULES =
  "/usr/lib/python3/dist-packages/ansible_test/_util/controller/sanity/validate-modules/validate.py";

const REQUIREMENTS = {
  ...FUNCTION_NEEDS,
  javac: { obtainable: false, present: () => hasProgram("javac") },
  FUSE: kernel("/dev/fuse"),
  // Debian 12 has none that knows kustomizations as they are now.
  kubectl: { obtainable: false, present: () => hasProgram("kubectl") },
  IPv6: kernel("/proc/sys/net/ipv6"),
  "cgroup v2": { obtainable: false, present: () => CGROUP_ROOT !== null },
  "IA-32": { obtainable: false, present: runsI386 },
  DENORT_BIN: { obtainable: false, present: () => Deno.env.has("DENORT_BIN") },
  TCPHUP_COMPILED: { obtainable: false, present: () => BINARY !== undefined },
  TCPHUP_AARCH64: { obtainable: false, present: () => AARCH64 !== undefined },
  "Linux 6.1": { obtainable: false, present: () => isAtLeast(6, 1) },
  "Linux 6.8": { obtainable: false, present: () => isAtLeast(6, 8) },
  "Linux 6.9": { obtainable: false, present: () => isAtLeast(6, 9) },
  // Debian 13 lacks antsibull-docs-parser, which it needs there.
  "validate-modules": {
    obtainable: false,
    present: () => exists(VALIDATE_MODULES) && runs(PYTHON, VALIDATE_MODULES, "--help"),
  },
  "permission to make namespaces": { obtainable: true, present: mayMakeNamespaces },
  "permission to use BPF": {
    obtainable: true,
    present: () => Deno.uid() !== 0 || hasCapability("CAP_BPF") || hasCapability("CAP_SYS_ADMIN"),
  },
  "permission to run containers": { obtainable: false, present: canRunContainers },
} satisfies Record<string, Requirement>;

/** The name of something that a test may need. */
export type Need = keyof typeof REQUIREMENTS;

/** Registers a test of the whole program, as `testWith` says. */
export const hostTest = testWith<Need>(REQUIREMENTS);

/** Registers a test that runs in a network namespace of its own. */
export function systemTest(name: string, needs: readonly Need[], body: (netns: Namespace) => Promise<void>): void {
  hostTest(name, ["root", "iproute2", "python3", "permission to make namespaces", ...needs], async () => {
    await using netns = await Namespace.create();
    await body(netns);
  });
}
