// Network namespaces to measure in. In the host's own, the figures would be about its traffic; and what connections leave
// behind for a minute (TIME-WAIT), which every dump comes across, goes with their namespace.

import { CLONE_NEWNET, setns } from "../../ffi/process.ts";
import { open } from "../../ffi/fs.ts";
import { lines } from "../lines.ts";

const SETUP = 'ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range="10000 65535" && echo ready && cat';

/** Moves into a new namespace, together with every process that is started from now on. */
export async function enterNewNamespace(): Promise<void> {
  const child = new Deno.Command("unshare", {
    args: ["--net", "sh", "-c", SETUP],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const { done } = await lines(child.stdout).getReader().read();
  if (done) throw new Error("a network namespace to measure in could not be made: run it as root");
  // Processes are started by the thread that this runs in.
  const namespace = open(`/proc/${child.pid}/ns/net`);
  setns(namespace, CLONE_NEWNET);
  namespace.close();
  await child.stdin.close();
  await child.status;
}
