// What clients have made, or are making, in place of what was cut: it is left alone.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Namespace, uniqueAddress } from "../harness/namespace.ts";
import { type Connections, Peer, type Protocol } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertCountsAddUp, DOOMED_PORT, Scene, withFarServer } from "../harness/scene.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { TCPHUP, tcphup } from "../harness/tcphup.ts";

const COUNT = 4;
/** The server's address: with --netns all other tests' connections would be cut too. */
const ADDRESS = uniqueAddress();

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
    const run = await tcphup([ADDRESS, `${DOOMED_PORT}`, ...flags, "--json"], { netns, code: 0 });
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
  const run = await tcphup(args, { netns, code: 0 });
  assertEquals(run.json().matched, COUNT);
  await assertCutOnce(doomed, "EOF");
});

systemTest("what was left alone is counted and said, and is no failure", ["strace"], async (netns) => {
  const doomed = await reconnecting(netns);
  // So slow that clients have connected anew when the first pass has ended.
  const slowed = ["strace", "--daemonize", "-qqq", "--follow-forks", "--output=/dev/null"];
  const command = [...slowed, "--inject=shutdown:delay_exit=200ms", ...TCPHUP];
  const run = await tcphup([ADDRESS, `${DOOMED_PORT}`], { netns, command, code: 0 });
  const [, left] = /hung up on 4 connections; (\d) new ones? left alone\n$/.exec(run.stdout) ?? [];
  assert(left !== undefined && Number(left) <= COUNT, run.stdout);
  await assertCutOnce(doomed, "EOF");
});

systemTest("--for takes what is new", [], async (netns) => {
  const doomed = await reconnecting(netns);
  const args = [ADDRESS, `${DOOMED_PORT}`, "--for", "1", "--every", "100ms", "--json"];
  const run = await tcphup(args, { netns, code: 0 });
  const { hung_up, recovered } = run.json();
  assert(hung_up > COUNT, `${hung_up}`);
  assertEquals(recovered, 0);
  assert((await doomed.seen()).some(({ ends }) => ends.length > 1));
});

/** A client whose connects to a silent address go unanswered, until `move` has another host answer there. */
async function unanswered(netns: Namespace, other: Namespace): Promise<{ client: Peer; move: () => Promise<unknown> }> {
  const client = await withFarServer(netns, other);
  await netns.silence("10.1.0.9", other);
  const move = () => other.exec("ip", "address", "add", "10.1.0.9/24", "dev", "veth");
  return { client, move };
}

systemTest("connect attempts whose next SYN is near are left to it, unless they are asked for", [], async (netns) => {
  await using other = await Namespace.create();
  const { client, move } = await unanswered(netns, other);
  const begin = () => client.beginConnect("10.1.0.9", DOOMED_PORT);
  const attempt = await begin();
  const run = await tcphup(["10.1.0.9"], { netns, code: 0 });
  assertMatch(run.stdout, /^1 connect attempt left to its next SYN$/m);
  assertMatch(run.stdout, /^SYN-SENT .* skipped: a connect attempt, left to its next SYN$/m);
  await move();
  await eventually("it is answered", async () => (await netns.ss("state", "established")).length > 0);
  await attempt.assertAlive();

  await netns.silence("10.1.0.9", other);
  const [kept] = attempt.ports;
  for (
    const [flags, how] of [
      [["--state", "syn-sent"], "ECONNRESET"],
      [["--filter", "state syn-sent"], "ECONNRESET"],
      [["--destroy-after", "1"], "ECONNRESET"],
      [["--for", "1"], "ECONNRESET"],
      [["--destroy"], "ECONNABORTED"],
    ] as const
  ) {
    const another = await begin();
    const run = await tcphup(["10.1.0.9", "--not", "--sport", `${kept}`, ...flags, "--json"], { netns, code: 0 });
    assertEquals(run.json().skipped, 0, run.stdout);
    await another.assertEnded(how);
  }
});

systemTest("connect attempts whose next SYN is far away are ended", [], async (netns) => {
  await using other = await Namespace.create();
  const { client } = await unanswered(netns, other);
  const attempt = await client.beginConnect("10.1.0.9", DOOMED_PORT);
  await eventually("it waits for long", async () => {
    const [line = ""] = await netns.ss("-o", "state", "syn-sent");
    // Up to 10 s, ss writes milliseconds where it means seconds.
    return Number(/timer:\(on,(\d+)(?:\.\d+(?:ms|sec)|sec)/.exec(line)?.[1] ?? 0) >= 5;
  });
  const run = await tcphup(["10.1.0.9"], { netns, code: 0 });
  assertMatch(run.stdout, /^ended 1 connect attempt$/m);
  await attempt.assertEnded("ECONNRESET");
});
