// A node of a cluster in small: programs/node.py in a PID namespace of its own, with network namespaces as pods.

import { assert, assertEquals } from "@std/assert";
import { pythonProgram } from "./peer.ts";
import { run } from "./process.ts";
import { Run } from "./tcphup.ts";

/** The address that every application of the node has connections to, on port 8000. */
export const POD_ADDRESS = "127.77.66.55";

/** As whom a program runs. Names are those of setpriv(1): `sys_ptrace`. */
export interface Privileges {
  capabilities: readonly string[];
  /** A user other than root, who has the capabilities as ambient ones. */
  user?: number;
  /** Whether it runs in the network namespace of the first application; else in one of its own. */
  inPod?: boolean;
}

/** What became of the applications, and of tcphup. */
export interface NodeRun {
  tcphup: Run;
  /** For each pod, how its three client connections are: `alive`, `EOF` or an errno. */
  pods: string[][];
}

/** Runs a command that starts tcphup in a pod of a new node, beside two pods with an application: one of a user, one of root. */
export async function runOnNode(program: readonly string[]): Promise<NodeRun> {
  const node = [
    ...["unshare", "--pid", "--fork", "--mount-proc", "--mount", "--net", "--kill-child"],
    // Other tests' namespaces have their names there, and are not this node's.
    ...["sh", "-c", 'mkdir -p /run/netns && mount -t tmpfs none /run/netns && exec "$@"', "sh"],
    ...pythonProgram("node.py"),
  ];
  const pods = [{ user: 12347, address: POD_ADDRESS }, { user: 0, address: POD_ADDRESS }];
  const { stdout } = await run(node, { stdin: JSON.stringify({ pods, program }) });
  const { pods: ends, ...output } = JSON.parse(stdout);
  return { tcphup: new Run(output), pods: ends };
}

/** The command that leaves a command exactly these capabilities, as a container runtime or systemd does. */
export function privileged({ capabilities, user, inPod }: Privileges, command: readonly string[]): string[] {
  const exactly = ["-all", ...capabilities.map((name) => `+${name}`)].join(",");
  const identity = user === undefined
    ? ["--inh-caps=-all"]
    : [`--reuid=${user}`, `--regid=${user}`, "--clear-groups", `--inh-caps=${exactly}`, `--ambient-caps=${exactly}`];
  const enter = inPod ? ["nsenter", "--net=/proc/{pod}/ns/net"] : [];
  return [...enter, "setpriv", `--bounding-set=${exactly}`, ...identity, "--no-new-privs", "--", ...command];
}

/** Each capability with the others of a set. */
export function oneLess(capabilities: readonly string[]): [left: string, others: string[]][] {
  return capabilities.map((left) => [left, capabilities.filter((name) => name !== left)]);
}

/** Fails unless tcphup failed and named a capability, as capabilities(7) spells it, and no other. */
export function assertNames(capability: string, run: Run): void {
  assert(run.code === 1 || run.code === 4, `exit ${run.code}: ${run.stdout}${run.stderr}`);
  const named = new Set((run.stdout + run.stderr).match(/CAP_[A-Z_]+/g));
  assertEquals([...named], [`CAP_${capability.toUpperCase()}`], run.stdout + run.stderr);
}

/** A manifest's words but for --destroy-after: the servers of these pods never close, so that it would have to act. */
export function withoutEscalation(args: readonly string[]): string[] {
  return args.filter((arg) => !arg.startsWith("--destroy-after"));
}

/** The words of a command that watches, for a single look instead. */
export function once(args: readonly string[]): string[] {
  return [...args.filter((arg) => !arg.startsWith("--watch")), "--json"];
}

/** Connections of which each pod has one that no process holds: it has not been accepted. */
export const HALF_OWNED = ["any", "--sport=8000", "--netns=all", "--destroy-after=1s"];
