// A socket outlives its connection where its program dissolves that and uses the socket anew. A cookie proves the socket
// alone, so what the socket is by then must not be taken for the old connection.

import { assertEquals } from "@std/assert";
import type { Namespace } from "../harness/namespace.ts";
import type { Connections, Protocol } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { DOOMED_PORT, KEPT_PORT, Scene } from "../harness/scene.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { Running } from "../harness/tcphup.ts";

/** Cuts two connections at a pace, and has the second one's socket used anew when the first one is cut. */
async function cutTwo(
  netns: Namespace,
  { protocol, args, without }: Way,
  reuse: (second: Connections) => Promise<void>,
): Promise<Connections> {
  const { doomed, kept } = await Scene.make(netns, { count: 2, protocol });
  const command = ["127.0.0.2", `${DOOMED_PORT}`, "--rate", "20/m", "--jitter", "0", "--json", ...args];
  const running = new Running(command, { netns, without });
  let alive: readonly number[] = [];
  await eventually("the first has been cut", async () => {
    const seen = await doomed.seen();
    alive = doomed.ports.filter((_, i) => seen[i]!.ends.length === 0);
    return alive.length === 1;
  });
  await reuse(doomed.only(alive));
  const run = await running.end(0);
  const { connections } = run.json();
  const gone = connections.filter(({ outcome }) => outcome === "already-gone");
  assertEquals(gone.map(({ src, error }) => [src.port, error]), [[alive[0]!, "ended by itself"]]);
  await kept.assertAlive();
  return doomed.only(alive);
}

interface Way {
  protocol: Protocol;
  args: readonly string[];
  without: readonly string[];
}

const ways: [string, Way, Need[]][] = [
  ["hung up on", { protocol: "tcp", args: [], without: [] }, []],
  ["hung up on, MPTCP", { protocol: "mptcp", args: [], without: [] }, ["MPTCP"]],
  ["hung up on when idle", { protocol: "tcp", args: ["--when-idle", "10ms"], without: [] }, []],
  ["destroyed", { protocol: "tcp", args: ["--destroy"], without: [] }, []],
  ["destroyed without CAP_NET_ADMIN", { protocol: "tcp", args: ["--destroy"], without: ["net_admin"] }, ["setpriv"]],
];

for (const [what, way, needs] of ways) {
  systemTest(`a socket that is connected to another peer is not ${what}`, needs, async (netns) => {
    const second = await cutTwo(netns, way, (second) => second.reuse({ address: "127.0.0.3", port: KEPT_PORT }));
    await second.assertAlive();
  });

  systemTest(`a socket that has become a listener is not ${what}`, needs, async (netns) => {
    // It has the connection's port, so that the kernel finds it when it is asked for the connection.
    const { ports: [port] } = await cutTwo(netns, way, (second) => second.reuse());
    assertEquals((await netns.ss("-l", "sport", "=", `:${port}`)).length, 1, "it listens");
  });
}
