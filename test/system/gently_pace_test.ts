// Pacing: --rate, --over, --for, what an interrupt leaves, and what is said meanwhile. Times are only ever asserted from
// below: nothing may come too early, however slow the machine.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Namespace } from "../harness/namespace.ts";
import { type Connections, Peer } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertCountsAddUp, deadPeer, DOOMED_PORT, KEPT_PORT, makePool, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { Running, TCPHUP, tcphup } from "../harness/tcphup.ts";
import { Terminal } from "../harness/terminal.ts";

const CLEAR_LINE = "\r\x1b[K";
const DOOMED = ["127.0.0.2", `${DOOMED_PORT}`];

async function endedOf(connections: Connections): Promise<number> {
  return (await connections.seen()).filter(({ ends }) => ends.length > 0).length;
}

for (const pace of [["--rate", "10/s"], ["--rate", "600/m"], ["--over", "1"]]) {
  systemTest(`${pace.join(" ")}: ten connections, one after another`, [], async (netns) => {
    const scene = await Scene.make(netns, { count: 10 });
    const run = await tcphup([...DOOMED, ...pace, "--jitter", "0", "--json"], { netns, code: 0 });
    assertEquals(run.json().hung_up, 10);
    // Nine gaps of 100 ms.
    assert(run.json().elapsed_ms >= 890, `${run.json().elapsed_ms} ms`);
    await scene.assertHungUp();
  });
}

systemTest("--over with jitter takes no fewer connections, and --destroy goes at a pace too", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 10 });
  const run = await tcphup([...DOOMED, "--over", "500ms", "--jitter", "100", "--destroy", "--json"], {
    netns,
    code: 0,
  });
  assertEquals(run.json().destroyed, 10);
  await scene.doomed.assertEnded("ECONNABORTED");
  await scene.kept.assertAlive();
});

systemTest("a pool that connects anew is cut once, not again and again", [], async (netns) => {
  const { pool } = await makePool(netns, { count: 10, reconnect: true });
  const run = await tcphup([...DOOMED, "--rate", "20/s", "--json"], { netns, code: 0 });
  assertEquals(run.json().matched, 10);
  await pool.assertEnded("EOF");
  assertEquals((await pool.seen()).map(({ ends }) => ends.length), Array(10).fill(1));
  await pool.assertAlive();
});

systemTest("--for: what connects anew is cut too, until the time is over", [], async (netns) => {
  const { client, pool } = await makePool(netns, { count: 3, reconnect: true });
  const running = new Running([...DOOMED, "--for", "2", "--every", "100ms", "--json"], { netns });
  await pool.ended();
  const late = await client.connect("127.0.0.2", DOOMED_PORT);
  await late.assertEnded("EOF");
  const run = await running.end(0);
  assertCountsAddUp(run);
  assert(run.json().elapsed_ms >= 1800, `${run.json().elapsed_ms} ms`);
  for (const { ends } of await pool.seen()) assert(ends.length >= 2, `cut ${ends.length} times`);
  const { hung_up } = run.json();
  await eventually(`${hung_up} ends`, async () => {
    return [...await pool.seen(), ...await late.seen()].flatMap(({ ends }) => ends).length === hung_up;
  });
});

systemTest("--for: a connection that nobody had accepted is cut when somebody has", [], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("127.0.0.2", DOOMED_PORT);
  const client = Peer.start(netns);
  Deno.kill(server.pid, "SIGSTOP");
  const pool = await client.connect("127.0.0.2", DOOMED_PORT, { source: "127.0.0.9" });
  const running = new Running(["127.0.0.9", "--for", "5", "--every", "50ms", "--json"], { netns });
  // Looked at in vain more often than a connection without an owner is otherwise looked at.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await pool.assertUnended();
  Deno.kill(server.pid, "SIGCONT");
  await pool.assertEnded("EOF");
  const run = await running.end(0);
  assertEquals(run.outcomes(), ["hung-up"]);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  systemTest(`${signal} stops between two connections: exit 130, with what was done`, [], async (netns) => {
    const scene = await Scene.make(netns, { count: 20 });
    const running = new Running([...DOOMED, "--rate", "2/s", "--json"], { netns });
    await eventually("two have ended", async () => await endedOf(scene.doomed) >= 2);
    running.kill(signal);
    const run = await running.end(130);
    assertCountsAddUp(run);
    const { matched, hung_up, skipped, interrupted, connections } = run.json();
    assertEquals([matched, interrupted], [20, true]);
    assertEquals(await endedOf(scene.doomed), hung_up);
    assert(skipped > 0 && hung_up + skipped === 20, `${hung_up} and ${skipped}`);
    const left = connections.filter(({ outcome }) => outcome === "skipped");
    for (const { error } of left) assertMatch(error!, /^interrupted/);
    await scene.doomed.only(left.map(({ src }) => src.port)).assertAlive();
    await scene.kept.assertAlive();
  });
}

systemTest("after an interrupt the table shows what was done, and the summary counts the rest", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 20 });
  const running = new Running([...DOOMED, "--rate", "5/m", "--jitter", "0"], { netns });
  await eventually("one is cut", async () => await endedOf(scene.doomed) > 0);
  running.kill("SIGINT");
  const run = await running.end(130);
  assertMatch(run.stdout, /^interrupted: hung up on 1 of 20 connections; 19 skipped: interrupted/m);
  assertEquals(run.stdout.trimEnd().split("\n").length, 3, run.stdout);
  assertMatch(run.stdout, /^ESTAB .* hung up$/m);
});

systemTest("an interrupt while --for waits for more: exit 130", [], async (netns) => {
  const scene = await Scene.make(netns);
  const running = new Running([...DOOMED, "--for", "1h"], { netns });
  await scene.doomed.assertEnded("EOF");
  running.kill("SIGINT");
  const run = await running.end(130);
  assertMatch(run.stdout, /interrupted: hung up on 3 connections/);
});

systemTest("--destroy-after counts from each connection's own hang-up", [], async (netns) => {
  await using other = await Namespace.create();
  const { stuck, kept } = await deadPeer(netns, other);
  // The second is cut three seconds after the first, which is aborted long before.
  const args = ["10.1.0.9", "--rate", "20/m", "--jitter", "0", "--destroy-after", "300ms", "--linger", "0", "--json"];
  const running = new Running(args, { netns });
  await eventually("the first is gone, the second is untouched", async () => {
    const lines = await netns.ss("state", "connected", "dst", "10.1.0.9");
    return lines.length === 1 && lines[0]!.startsWith("ESTAB");
  });
  const run = await running.end(0);
  assertEquals(run.outcomes(), ["destroyed", "destroyed"]);
  await stuck.assertEnded("EOF");
  await kept.assertAlive();
});

systemTest("progress is shown on a terminal while it takes time, and taken away", [], async (netns) => {
  await Scene.make(netns, { count: 10 });
  const terminal = new Terminal(netns, [...TCPHUP, ...DOOMED, "--over", "1h"]);
  const shown = await terminal.expect(" waiting, ");
  assertMatch(shown.slice(shown.lastIndexOf(CLEAR_LINE)), /^.{4}\d+ of 10 connections done, \d+ waiting, $/s);
  await terminal.kill("SIGINT");
  const output = await terminal.end(130);
  assert(output.includes(`${CLEAR_LINE}interrupted: `), JSON.stringify(output));
});

systemTest("NO_COLOR takes color away and leaves progress; TERM=dumb takes both", [], async (netns) => {
  await Scene.make(netns, { count: 4 });
  const kept = [...TCPHUP, "127.0.0.2", `${KEPT_PORT}`, "--over", "1h", "--color=auto"];
  const plain = new Terminal(netns, kept, { env: { NO_COLOR: "1" } });
  await plain.expect(" waiting, ");
  await plain.kill("SIGINT");
  const output = await plain.end(130);
  assert(!output.includes("\x1b[3"), JSON.stringify(output));
  const dumb = await new Terminal(netns, [...TCPHUP, ...DOOMED, "--over", "1500ms"], { env: { TERM: "dumb" } }).end(0);
  for (const text of ["\x1b", "waiting"]) assert(!dumb.includes(text), JSON.stringify(dumb));
});

systemTest("a walk over /proc that takes long gives a sign of life, and takes it away", ["strace"], async (netns) => {
  await Scene.make(netns);
  // Only the first of the descriptors, as a host may have any number of them.
  const slowly = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=readlinkat:delay_enter=50000:when=1..60"];
  for (const command of [["ls", "127.0.0.2"], ["--dry-run", ...DOOMED], ["keepalive", "--dry-run", ...DOOMED]]) {
    const terminal = new Terminal(netns, [...slowly, ...TCPHUP, ...command, "--no-bpf"]);
    await terminal.expect("looking into processes and namespaces, ");
    const output = await terminal.end(0);
    assert(output.includes(`${CLEAR_LINE}State `), JSON.stringify(output));
  }
});

systemTest("no progress where nobody would see it, or wants to", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 4 });
  const piped = await tcphup([...DOOMED, "--over", "1500ms"], { netns });
  assertEquals([piped.code, piped.stderr], [0, ""]);
  const kept = ["127.0.0.2", `${KEPT_PORT}`, "--over", "1500ms", "--quiet"];
  const plain = new Terminal(netns, [...TCPHUP, ...kept]);
  const output = await plain.end(0);
  assert(!output.includes("waiting"), JSON.stringify(output));
  await scene.kept.assertEnded("EOF");
});
