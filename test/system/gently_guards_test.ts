// Guards: --max and --interactive keep tcphup from cutting more than was meant.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Namespace } from "../harness/namespace.ts";
import { eventually } from "../harness/process.ts";
import { assertCountsAddUp, assertUsageError, DOOMED_PORT, makePool, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { TCPHUP, tcphup } from "../harness/tcphup.ts";
import { Terminal } from "../harness/terminal.ts";

const DOOMED = ["127.0.0.2", `${DOOMED_PORT}`];
const QUESTION = "Hang up on these 3 connections? [y/N] ";
const INTERRUPT = "\x03";
const END_OF_FILE = "\x04";

systemTest("--max: as many as that are cut", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await tcphup([...DOOMED, "--max", "3", "--json"], { netns, code: 0 });
  assertEquals(run.json().refused, null);
  await scene.assertHungUp();
});

systemTest("--max: more than that are refused: exit 3, nothing touched", [], async (netns) => {
  const scene = await Scene.make(netns);
  for (const more of [[], ["--dry-run"], ["--destroy"], ["--destroy-after", "0"], ["--rate", "9/s"]]) {
    const run = await tcphup([...DOOMED, "--max", "2", "--json", ...more], { netns, code: 3 });
    const { matched, skipped, refused, max_reached } = run.json();
    assertEquals([matched, skipped, max_reached], [3, 3, false]);
    assertMatch(refused!, /^3 connections match, more than the 2 allowed$/);
    assertCountsAddUp(run);
  }
  const run = await tcphup([...DOOMED, "--max", "2"], { netns, code: 3 });
  assertEquals(run.stdout, "nothing touched: 3 connections match, more than the 2 allowed\n");
  await scene.assertUntouched();
});

systemTest("--max counts those that appear later: it stops there and says so", [], async (netns) => {
  await makePool(netns, { count: 3, reconnect: true });
  const run = await tcphup([...DOOMED, "--max", "5", "--for", "600", "--every", "50ms", "--json"], { netns, code: 1 });
  assertCountsAddUp(run);
  const { hung_up, already_gone, skipped, max_reached, connections } = run.json();
  assertEquals(hung_up + already_gone, 5);
  assert(skipped > 0);
  assertEquals(max_reached, true);
  for (const { outcome, error } of connections.slice(5)) {
    assertEquals([outcome, error], ["skipped", "appeared when the 5 allowed were reached"]);
  }
});

systemTest("--interactive without a terminal is refused: exit 2", [], async (netns) => {
  const scene = await Scene.make(netns);
  assertUsageError(await tcphup([...DOOMED, "--interactive"], { netns }), /--interactive.*terminal/);
  await scene.assertUntouched();
});

systemTest("--interactive in a dry run asks nothing", [], async (netns) => {
  const scene = await Scene.make(netns);
  await tcphup([...DOOMED, "-i", "-n"], { netns, code: 0 });
  await scene.assertUntouched();
});

function ask(netns: Namespace, ...more: string[]): Terminal {
  return new Terminal(netns, [...TCPHUP, ...DOOMED, "--interactive", ...more]);
}

systemTest("--interactive shows a summary and, on y, cuts", [], async (netns) => {
  const scene = await Scene.make(netns);
  await scene.client.setName("pool");
  const terminal = ask(netns);
  const shown = await terminal.expect(QUESTION);
  assertMatch(shown, new RegExp(`3 +127\\.0\\.0\\.2:${DOOMED_PORT} +${scene.client.pid}/pool +ESTAB`));
  await scene.assertUntouched();
  await terminal.type("y\n");
  const output = await terminal.end(0);
  assertMatch(output, /hung up on 3 connections/);
  await scene.assertHungUp();
});

systemTest("--interactive: the time of the question is not the time that the work takes", [], async (netns) => {
  const scene = await Scene.make(netns);
  const terminal = ask(netns);
  await terminal.expect(QUESTION);
  // Longer than what shows how far it has got.
  await new Promise((resolve) => setTimeout(resolve, 700));
  await terminal.type("y\n");
  const output = await terminal.end(0);
  assert(!output.includes("connections done"), output);
  await scene.assertHungUp();
});

systemTest("--interactive: what appears while the question stands is not cut", [], async (netns) => {
  const scene = await Scene.make(netns);
  for (const more of [[], ["--destroy"]]) {
    const asked = await scene.client.connect("127.0.0.3", DOOMED_PORT, { count: 2 });
    const terminal = new Terminal(netns, [...TCPHUP, "127.0.0.3", "--interactive", ...more]);
    await terminal.expect("these 2 connections? [y/N] ");
    const appeared = await scene.client.connect("127.0.0.3", DOOMED_PORT, { count: 3 });
    await terminal.type("y\n");
    await terminal.end(0);
    await asked.assertEnded(more.length === 0 ? "EOF" : "ECONNABORTED");
    await appeared.assertAlive();
    await appeared.close();
    await eventually("they are gone", async () => (await netns.ss("dst", "127.0.0.3")).length === 0);
  }
});

systemTest("--interactive with --for asks about what appears too", [], async (netns) => {
  const scene = await Scene.make(netns);
  const terminal = ask(netns, "--for", "3", "--every", "100ms");
  await terminal.expect("Hang up on these 3 connections, and on what appears within 3 s? [y/N] ");
  const appeared = await scene.client.connect("127.0.0.2", DOOMED_PORT);
  await terminal.type("y\n");
  await terminal.end(0);
  await appeared.assertEnded("EOF");
  await scene.assertHungUp();
});

systemTest("--interactive with a list of addresses that can be read only once", [], async (netns) => {
  const scene = await Scene.make(netns);
  const line = `"$@" --dst-file <(echo 127.0.0.2) --dport ${DOOMED_PORT} --interactive`;
  const terminal = new Terminal(netns, ["bash", "-c", line, "bash", ...TCPHUP]);
  const shown = await terminal.expect(QUESTION);
  assertMatch(shown, new RegExp(`3 +127\\.0\\.0\\.2:${DOOMED_PORT} `));
  await terminal.type("y\n");
  await terminal.end(0);
  await scene.assertHungUp();
});

const REFUSALS = [["n", "n\n"], ["an empty line", "\n"], ["anything", "yeah\n"], ["^D", END_OF_FILE]] as const;

for (const [what, answer] of REFUSALS) {
  systemTest(`--interactive: on ${what} nothing is touched, exit 3`, [], async (netns) => {
    const scene = await Scene.make(netns);
    const terminal = ask(netns, "--destroy-after", "0");
    await terminal.expect("[y/N] ");
    await terminal.type(answer);
    const output = await terminal.end(3);
    assertMatch(output, /nothing touched: not confirmed/);
    await scene.assertUntouched();
  });
}

systemTest("--interactive: ^C at the question touches nothing", [], async (netns) => {
  const scene = await Scene.make(netns);
  const terminal = ask(netns);
  await terminal.expect(QUESTION);
  await terminal.type(INTERRUPT);
  // By the signal.
  await terminal.end(-2);
  await scene.assertUntouched();
});

systemTest("--interactive asks nothing where nothing matches, or --max has refused", [], async (netns) => {
  const scene = await Scene.make(netns);
  for (const [args, code] of [[["127.0.0.77"], 0], [["any", "--max", "1"], 3]] as const) {
    const output = await new Terminal(netns, [...TCPHUP, ...args, "--interactive"]).end(code);
    assert(!output.includes("[y/N]"), output);
  }
  await scene.assertUntouched();
});
