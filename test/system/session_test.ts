// The operator's own session, which is not to be cut off by accident.

import { assertEquals, assertMatch } from "@std/assert";
import { Peer } from "../harness/peer.ts";
import { assertCountsAddUp, assertExit, DOOMED_PORT, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { Run, TCPHUP, tcphup } from "../harness/tcphup.ts";

/** Runs tcphup as a descendant, by way of a shell, of an application that has connections. */
async function runBelow(application: Peer, ...args: string[]): Promise<Run> {
  const shell = ["sh", "-c", '"$@"; exit $?', "sh"];
  return new Run(await application.run([...shell, ...TCPHUP, ...args]));
}

systemTest("a connection that an ancestor of tcphup holds is skipped: exit 3", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await runBelow(scene.client, "127.0.0.2", `${DOOMED_PORT}`, "--json");
  assertExit(run, 3);
  assertEquals(run.outcomes(), ["skipped", "skipped", "skipped"]);
  assertEquals(run.json().skipped, 3);
  assertCountsAddUp(run);
  for (const { error } of run.json().connections) {
    assertMatch(error!, new RegExp(`${scene.client.pid}`));
    assertMatch(error!, /--include-session/);
  }
  await scene.assertUntouched();
});

systemTest("the rest is hung up on, and what was skipped is reported", [], async (netns) => {
  const scene = await Scene.make(netns);
  const pool = Peer.start(netns);
  const others = await pool.connect("127.0.0.2", DOOMED_PORT, { count: 2 });
  const run = await runBelow(scene.client, "127.0.0.2", `${DOOMED_PORT}`, "--json");
  assertExit(run, 0);
  assertEquals({ hung_up: run.json().hung_up, skipped: run.json().skipped }, { hung_up: 2, skipped: 3 });
  await others.assertEnded("EOF");
  await scene.assertUntouched();
});

systemTest("--include-session takes them too", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await runBelow(scene.client, "127.0.0.2", `${DOOMED_PORT}`, "--include-session", "--json");
  assertExit(run, 0);
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await scene.assertHungUp();
});

systemTest("--destroy spares the session as well", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await runBelow(scene.client, "127.0.0.2", `${DOOMED_PORT}`, "--destroy", "--json");
  assertExit(run, 3);
  assertEquals(run.outcomes(), ["skipped", "skipped", "skipped"]);
  await scene.assertUntouched();
});

systemTest("the connection that SSH_CONNECTION names is spared, whoever holds it", [], async (netns) => {
  const scene = await Scene.make(netns);
  const [mine, ...others] = scene.doomed.ports;
  // This host is the ssh server: its end of the connection is the one that tcphup sees as local.
  const env = { SSH_CONNECTION: `127.0.0.2 ${DOOMED_PORT} 127.0.0.1 ${mine}` };
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, env });
  const outcomeOf = new Map(run.json().connections.map(({ src, outcome }) => [src.port, outcome]));
  assertEquals(outcomeOf.get(mine), "skipped");
  assertEquals(others.map((port) => outcomeOf.get(port)), ["hung-up", "hung-up"]);
});
