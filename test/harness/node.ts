// A node of a cluster in small: programs/node.py in a PID namespace of its own, with network namespaces as pods.

import { pythonProgram } from "./peer.ts";
import type { Namespace } from "./namespace.ts";
import { outputOf } from "./process.ts";
import { Run, TCPHUP } from "./tcphup.ts";

/** The address that every application of the node has connections to, on port 8000. */
export const POD_ADDRESS = "127.77.66.55";

/** As whom a program runs. Names are those of setpriv(1): `sys_ptrace`. */
export interface Privileges {
  capabilities: readonly string[];
  /** A user other than root, who has the capabilities as ambient ones. */
  user?: number;
  /** The process in whose network namespace it runs; else in one of its own. */
  beside?: number;
}

/** What became of the applications, and of tcphup. */
export interface NodeRun {
  tcphup: Run;
  /** For each pod, how its three client connections are: `alive`, `EOF` or an errno. */
  pods: string[][];
}

/** Runs tcphup in a pod of a new node, beside two pods with an application: one of a user, one of root. */
export async function runOnNode(netns: Namespace, args: readonly string[], privileges: Privileges): Promise<NodeRun> {
  const node = [
    ...["unshare", "--pid", "--fork", "--mount-proc", "--mount", "--net", "--kill-child"],
    // Other tests' namespaces have their names there, and are not this node's.
    ...["sh", "-c", 'mount -t tmpfs none /run/netns && exec "$@"', "sh"],
    ...pythonProgram("node.py"),
  ];
  const child = netns.spawn(node);
  const writer = child.stdin.getWriter();
  const pods = [{ user: 12347, address: POD_ADDRESS }, { user: 0, address: POD_ADDRESS }];
  const enter = privileges.beside === undefined ? [] : ["nsenter", `--net=/proc/${privileges.beside}/ns/net`];
  const program = [...enter, ...setpriv(privileges), ...TCPHUP, ...args];
  await writer.write(new TextEncoder().encode(JSON.stringify({ pods, program })));
  await writer.close();
  const { code, stdout, stderr } = await outputOf(child, ["node.py"]);
  if (code !== 0) throw new Error(`node.py failed with ${code}: ${stderr}`);
  const { pods: ends, ...output } = JSON.parse(stdout);
  return { tcphup: new Run(output), pods: ends };
}

/** The command that leaves exactly these capabilities, as a container runtime or systemd does. */
function setpriv({ capabilities, user }: Privileges): string[] {
  const exactly = ["-all", ...capabilities.map((name) => `+${name}`)].join(",");
  const identity = user === undefined
    ? ["--inh-caps=-all"]
    : [`--reuid=${user}`, `--regid=${user}`, "--clear-groups", `--inh-caps=${exactly}`, `--ambient-caps=${exactly}`];
  return ["setpriv", `--bounding-set=${exactly}`, ...identity, "--no-new-privs", "--"];
}
