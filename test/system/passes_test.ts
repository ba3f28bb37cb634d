// Connections that take the place of those that were cut: the passes after the first one leave them alone.

import { assert, assertEquals } from "@std/assert";
import { Namespace } from "../harness/namespace.ts";
import { type Connections, Peer, type Protocol } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertCountsAddUp, assertExit, DOOMED_PORT, Scene } from "../harness/scene.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { TCPHUP, tcphup } from "../harness/tcphup.ts";

const COUNT = 4;
/** The server's address, which no other test has: with --netns all its connections would be cut too. */
const ADDRESS = `127.${[97, 1 + Math.random() * 250, 1 + Math.random() * 250].map(Math.floor).join(".")}`;

/** Four clients that connect anew whenever a connection ends, and their living server. */
async function reconnecting(netns: Namespace, protocol?: Protocol): Promise<Connections> {
  const { doomed } = await Scene.make(netns, { address: ADDRESS, count: COUNT, reconnect: true, protocol });
  await doomed.assertAlive();
  return doomed;
}

/** Fails unless each connection was cut once, and what took its place carries data. */
async function assertCutOnce(connections: Connections, how: string): Promise<void> {
  const ends = Array(COUNT).fill([how]);
  await eventually("each has ended", async () => (await connections.seen()).every(({ ends }) => ends.length > 0));
  const echoes = async () => (await connections.seen()).map(({ received }) => received);
  const before = await echoes();
  await connections.send("anew");
  await eventually("the new ones carry data", async () => {
    return (await echoes()).every((received, i) => received === before[i]! + "anew".length);
  });
  assertEquals((await connections.seen()).map(({ ends }) => ends), ends);
}

interface Case {
  readonly flags: readonly string[];
  readonly how?: string;
  readonly protocol?: Protocol;
  readonly needs?: readonly Need[];
}

const CASES: Record<string, Case> = {
  "the default command": { flags: [] },
  "--verify": { flags: ["--verify"] },
  "--wait": { flags: ["--wait", "2"] },
  "--destroy": { flags: ["--destroy"], how: "ECONNABORTED" },
  "--destroy-after": { flags: ["--destroy-after", "1"] },
  "--netns all": { flags: ["--netns", "all", "--include-session"] },
  "MPTCP": { flags: [], protocol: "mptcp", needs: ["MPTCP"] },
};

for (const [name, { flags, how = "EOF", protocol, needs = [] }] of Object.entries(CASES)) {
  systemTest(`clients that connect anew to a living server are cut once: ${name}`, needs, async (netns) => {
    const doomed = await reconnecting(netns, protocol);
    const run = await tcphup([ADDRESS, `${DOOMED_PORT}`, ...flags, "--json"], { netns });
    assertExit(run, 0);
    assertCountsAddUp(run);
    const { matched, hung_up, destroyed } = run.json();
    assertEquals([matched, hung_up + destroyed], [COUNT, COUNT]);
    await assertCutOnce(doomed, how);
  });
}

systemTest("clients in other network namespaces are cut once", [], async (netns) => {
  await using other = await Namespace.create();
  await netns.link(other, ["10.0.0.1/24"], ["10.0.0.2/24"]);
  const server = Peer.start(netns);
  await server.listen("10.0.0.1", DOOMED_PORT);
  const client = Peer.start(other);
  const doomed = await client.connect("10.0.0.1", DOOMED_PORT, { count: COUNT, reconnect: true });
  await doomed.assertAlive();
  const args = ["10.0.0.1", "--netns", netns.name, "--netns", other.name, "--json"];
  const run = await tcphup(args, { netns });
  assertExit(run, 0);
  assertEquals(run.json().matched, COUNT);
  await assertCutOnce(doomed, "EOF");
});

systemTest("what was left alone is counted and said, and is no failure", ["strace"], async (netns) => {
  const doomed = await reconnecting(netns);
  // So slow that clients have connected anew when the first pass has ended.
  const slowed = ["strace", "--daemonize", "-qqq", "--follow-forks", "--output=/dev/null"];
  const command = [...slowed, "--inject=shutdown:delay_exit=200ms", ...TCPHUP];
  const run = await tcphup([ADDRESS, `${DOOMED_PORT}`], { netns, command });
  assertExit(run, 0);
  const [, left] = /hung up on 4 connections; (\d) new ones? left alone\n$/.exec(run.stdout) ?? [];
  assert(left !== undefined && Number(left) <= COUNT, run.stdout);
  await assertCutOnce(doomed, "EOF");
});

systemTest("--for takes what is new", [], async (netns) => {
  const doomed = await reconnecting(netns);
  const args = [ADDRESS, `${DOOMED_PORT}`, "--for", "1", "--every", "100ms", "--json"];
  const run = await tcphup(args, { netns });
  assertExit(run, 0);
  const { hung_up, recovered } = run.json();
  assert(hung_up > COUNT, `${hung_up}`);
  assertEquals(recovered, 0);
  assert((await doomed.seen()).some(({ ends }) => ends.length > 1));
});
