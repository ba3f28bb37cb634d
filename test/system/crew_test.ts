// Thousands of connections, with helper processes: whatever becomes of these, all connections are hung up on, and no other.

import { assert, assertEquals } from "@std/assert";
import type { Report } from "../../src/report.ts";
import type { Namespace } from "../harness/namespace.ts";
import { Peer } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertExit, DOOMED_PORT, KEPT_PORT } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { TCPHUP, tcphup } from "../harness/tcphup.ts";

const CLIENTS = 4;
const EACH = 900;
const MODULE = new URL("../../mod.ts", import.meta.url).href;

/** Connections enough for helpers, and some others; then what `hangUp` says, and that it is true. */
async function assertHungUp(netns: Namespace, hangUp: () => Promise<Report>): Promise<void> {
  const server = Peer.start(netns);
  for (const port of [DOOMED_PORT, KEPT_PORT]) await server.listen("127.0.0.2", port);
  const clients = Array.from({ length: CLIENTS }, () => Peer.start(netns));
  const connect = (port: number, count: number) =>
    Promise.all(clients.map((client) => client.connect("127.0.0.2", port, { count })));
  const [doomed, kept] = [await connect(DOOMED_PORT, EACH), await connect(KEPT_PORT, 20)];
  const { matched, hung_up } = await hangUp();
  assertEquals([matched, hung_up], [CLIENTS * EACH, CLIENTS * EACH]);
  for (const connections of doomed) await connections.assertEnded("EOF");
  for (const connections of kept) await connections.assertAlive();
  assertEquals(await netns.resetsSent(), 0);
}

systemTest("with helpers: as many as match are hung up on, and nothing else", [], async (netns) => {
  await assertHungUp(netns, async () => {
    const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns });
    assertExit(run, 0);
    return run.json<Report>();
  });
});

/** Hangs up from the library with helpers of this command. */
async function withHelpers(netns: Namespace, command: readonly string[]): Promise<Report> {
  const call = `hangUp({ dst: "127.0.0.2", dport: ${DOOMED_PORT} }, { helper: () => ${JSON.stringify(command)} })`;
  const program = `import { hangUp } from "${MODULE}"; console.log(JSON.stringify(await ${call}));`;
  return JSON.parse(await netns.exec(Deno.execPath(), "eval", program));
}

systemTest("with helpers: they are called for, and end", [], async (netns) => {
  const called = await Deno.makeTempFile({ prefix: "tcphup-test-" });
  try {
    const helper = ["/bin/sh", "-c", `echo $$ >>${called}; exec "$@"`, "sh", ...TCPHUP, "help-out"];
    await assertHungUp(netns, () => withHelpers(netns, helper));
    const pids = (await Deno.readTextFile(called)).trim().split("\n");
    assert(navigator.hardwareConcurrency === 1 || pids[0] !== "", "no helper was called for");
    for (const pid of pids) {
      await eventually(`process ${pid} has ended`, async () => {
        return !(await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "")).includes("help-out");
      });
    }
  } finally {
    await Deno.remove(called);
  }
});

/** Helpers that are of no help. */
const USELESS: Record<string, readonly string[]> = {
  "that are not there": ["/nonexistent/tcphup"],
  "that die at once": ["/bin/false"],
  "that die when there is something to do": [
    "/usr/bin/python3",
    "-c",
    "import socket; socket.socket(fileno=3).recv(1)",
  ],
};

for (const [what, command] of Object.entries(USELESS)) {
  systemTest(`with helpers ${what}: all is done all the same`, [], async (netns) => {
    await assertHungUp(netns, () => withHelpers(netns, command));
  });
}
