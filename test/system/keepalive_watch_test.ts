// tcphup keepalive --watch: connections that are opened later, at no cost while none is.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { JsonDocument, Row } from "../../src/cli/output/json.ts";
import { Directory } from "../harness/directory.ts";
import { DEFAULTS, keepaliveTimers, UNTOUCHED } from "../harness/keepalive.ts";
import { Namespace, uniqueAddress } from "../harness/namespace.ts";
import { Peer } from "../harness/peer.ts";
import { eventually, quote } from "../harness/process.ts";
import { DOOMED_PORT, makePool, Scene } from "../harness/scene.ts";
import { redis } from "../harness/servers.ts";
import { systemTest } from "../harness/system.ts";
import { engineOf, PublicCopy, TCPHUP } from "../harness/tcphup.ts";
import { untilSet, Watch } from "../harness/watch.ts";

const PORT = `${DOOMED_PORT}`;

systemTest("keepalive --watch: what is opened later gets it too, a line each, and no more", [], async (netns) => {
  const { client, doomed, kept } = await Scene.make(netns);
  const watch = new Watch(netns, ["127.0.0.2", PORT]);
  const first = await watch.lines(3);
  for (const [i, port] of doomed.ports.entries()) {
    const line = first.find((line) => line.includes(`127.0.0.1:${port} `))!;
    assertMatch(line, new RegExp(`^ESTAB 127.0.0.1:\\d+ 127.0.0.2:${PORT} ${client.pid}/python3 off → 15s\\+9\\*15s,`));
    assertMatch(line, / keepalive set$/, `${i}`);
  }
  const later = await client.connect("127.0.0.2", DOOMED_PORT, { count: 2 });
  const second = await watch.lines(2);
  assertEquals(second.filter((line) => later.ports.some((port) => line.includes(`127.0.0.1:${port} `))).length, 2);
  assertEquals(await later.keepalive(), [DEFAULTS, DEFAULTS]);
  for (const seconds of await keepaliveTimers(netns, "dst", `127.0.0.2:${PORT}`)) assert(seconds! <= 15);
  const last = await client.connect("127.0.0.2", DOOMED_PORT);
  assertEquals((await watch.lines(1)).length, 1);
  assertEquals(await watch.end(), { code: 0, rest: [], complaints: [] });
  assertEquals(await kept.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
  await doomed.assertAlive();
  await last.assertAlive();
});

systemTest("keepalive --watch ends on ^C as well", [], async (netns) => {
  await Scene.make(netns, { count: 1 });
  const watch = new Watch(netns, ["127.0.0.2", PORT, "-v"]);
  await watch.lines(1);
  const { code, complaints } = await watch.end("SIGINT");
  assertEquals(code, 0);
  assertMatch(complaints.at(-1)!, /^tcphup: looked \d+ times, set keepalive on 1$/);
});

systemTest("keepalive --watch sets a connection once: later its application decides", [], async (netns) => {
  const { client, doomed } = await Scene.make(netns, { count: 1 });
  const watch = new Watch(netns, ["127.0.0.2", PORT]);
  await watch.lines(1);
  await doomed.setKeepalive({ enabled: false });
  const later = await client.connect("127.0.0.2", DOOMED_PORT, { count: 2 });
  await watch.lines(2);
  await untilSet(later);
  assertEquals(await doomed.keepalive(), [{ ...DEFAULTS, enabled: false }]);
  assertEquals((await watch.end()).rest, []);
});

systemTest("keepalive --watch holds no connection open", [], async (netns) => {
  const { server, doomed } = await Scene.make(netns);
  const watch = new Watch(netns, ["any"]);
  await watch.lines(12);
  const accepted = (await server.serving(6)).only(doomed.ports);
  await doomed.close();
  await accepted.assertEnded("EOF");
  assertEquals(await netns.resetsSent(), 0);
  assertEquals((await watch.end()).code, 0);
});

systemTest("keepalive --watch --json-lines", [], async (netns) => {
  const { client } = await Scene.make(netns, { count: 1 });
  const watch = new Watch(netns, ["127.0.0.2", PORT, "--json-lines", "--idle", "20"]);
  await watch.lines(1);
  const later = await client.connect("127.0.0.2", DOOMED_PORT);
  const line = (await watch.lines(1))[0]!;
  const { time, src, outcome, before, after } = JSON.parse(line) as JsonDocument<Row> & { time: string };
  assert(!Number.isNaN(Date.parse(time)));
  assertEquals([src.port, outcome], [later.ports[0], "keepalive-set"]);
  assertEquals([before, after], [UNTOUCHED, { ...DEFAULTS, idle_s: 20, user_timeout_ms: 155_000 }]);
  assertEquals((await watch.end()).code, 0);
});

systemTest("keepalive --watch --only-missing leaves what applications choose", ["redis-server"], async (netns) => {
  await using _server = await redis(netns, "127.0.0.2");
  const watch = new Watch(netns, ["any", "--only-missing"]);
  const client = Peer.start(netns);
  const pool = await client.connect("127.0.0.2", 6379, { count: 3 });
  await pool.send("PING\r\n");
  await untilSet(pool);
  const lines = await watch.lines(3);
  assert(lines.every((line) => line.includes("python3")), lines.join("\n"));
  for (const seconds of await keepaliveTimers(netns, "sport", "=", ":6379")) assert(seconds! > 100, `${seconds} s`);
  assertEquals((await watch.end()).rest, []);
});

systemTest("keepalive --watch --listeners: a server that starts later", [], async (netns) => {
  const watch = new Watch(netns, ["any", "--listeners"]);
  const server = Peer.start(netns);
  await server.listen("0.0.0.0", DOOMED_PORT);
  assertMatch(
    (await watch.lines(1))[0]!,
    new RegExp(`^LISTEN 0.0.0.0:${PORT} 0.0.0.0:\\* ${server.pid}/python3 off → 15s`),
  );
  const client = Peer.start(netns);
  const pool = await client.connect("127.0.0.2", DOOMED_PORT, { count: 2 });
  assertEquals(await (await server.serving(2)).keepalive(), [DEFAULTS, DEFAULTS]);
  await untilSet(pool);
  // What was accepted has inherited it, so it is the clients' sockets alone that change.
  const lines = await watch.lines(2);
  assert(lines.every((line) => line.includes(` 127.0.0.2:${PORT} `)), lines.join("\n"));
  assertEquals((await watch.end()).rest, []);
});

systemTest("keepalive --watch waits, without a word, for a connection to be accepted", [], async (netns) => {
  const { server } = await makePool(netns, { accept: false });
  const watch = new Watch(netns, ["any"]);
  assertMatch((await watch.lines(1))[0]!, new RegExp(`^ESTAB 127.0.0.1:\\d+ 127.0.0.2:${PORT} `));
  await server.startAccepting();
  assertMatch((await watch.lines(1))[0]!, new RegExp(`^ESTAB 127.0.0.2:${PORT} .* ${server.pid}/python3 `));
  assertEquals(await (await server.serving(1)).keepalive(), [DEFAULTS]);
  assertEquals(await watch.end(), { code: 0, rest: [], complaints: [] });
});

systemTest("keepalive --watch --netns all: a namespace that is made later", [], async (netns) => {
  const address = uniqueAddress();
  const watch = new Watch(netns, [address, PORT, "--netns", "all"]);
  await using other = await Namespace.create();
  for (const scene of [await Scene.make(netns, { address }), await Scene.make(other, { address })]) {
    await untilSet(scene.doomed);
    assertEquals(await scene.kept.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
  }
  const names = (await watch.lines(6)).map((line) => line.split(" ")[0]);
  assertEquals(names.sort(), [...Array(3).fill(netns.name), ...Array(3).fill(other.name)].sort());
  assertEquals((await watch.end()).code, 0);
});

systemTest("keepalive --watch: while nothing new appears nobody looks into /proc", ["strace"], async (netns) => {
  const { client } = await Scene.make(netns);
  const watch = new Watch(netns, ["any"]);
  await watch.lines(12);
  using directory = new Directory();
  const trace = `${directory.path}/trace`;
  const calls = ["-e", "trace=sendto,openat,getdents64,pidfd_open", "-e", "signal=none"];
  netns.spawn(["strace", "-f", "-qq", "-o", trace, ...calls, "-p", `${await engineOf(watch.pid)}`]);
  const traced = async () => (await Deno.readTextFile(trace).catch(() => "")).split("\n");
  const isWalk = (call: string) => /"\/proc|getdents64|pidfd_open/.test(call);
  // A look is a request for TCP, and one for MPTCP of each family.
  const looks = (calls: readonly string[]) => calls.filter((call) => call.includes("sendto(")).length / 3;
  const looksSinceWalk = async () => {
    const calls = await traced();
    return looks(calls.slice(calls.findLastIndex(isWalk) + 1));
  };
  await eventually("ten looks", async () => await looksSinceWalk() >= 10);
  assertEquals((await traced()).filter(isWalk), []);
  await client.connect("127.0.0.2", DOOMED_PORT);
  await watch.lines(2);
  await eventually("the owner of a new connection was looked for", async () => (await traced()).some(isWalk));
  await eventually("ten looks at nothing new again", async () => await looksSinceWalk() >= 10);
  await watch.end();
});

systemTest(
  "keepalive --watch without privilege: its own connections, and one complaint",
  ["setpriv"],
  async (netns) => {
    const [USER, OTHER_USER] = [65_534, 65_533];
    await using copy = await PublicCopy.make();
    const server = Peer.start(netns);
    await server.listen("127.0.0.2", DOOMED_PORT);
    const other = await Peer.start(netns, { user: OTHER_USER }).connect("127.0.0.2", DOOMED_PORT, { count: 3 });
    const watch = new Watch(netns, ["127.0.0.2", PORT], { user: USER, ...copy });
    assertMatch(
      await watch.complaint(),
      /^tcphup: ESTAB .* denied: .*uid 65533 .*CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH$/,
    );
    const own = await Peer.start(netns, { user: USER }).connect("127.0.0.2", DOOMED_PORT);
    await untilSet(own);
    assertMatch((await watch.lines(1))[0]!, new RegExp(`^ESTAB 127.0.0.1:${own.ports[0]} `));
    assertEquals(await watch.end(), { code: 0, rest: [], complaints: [] });
    assertEquals(await other.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
  },
);

systemTest("keepalive --watch -q is silent, and sets", [], async (netns) => {
  const { doomed } = await Scene.make(netns);
  const watch = new Watch(netns, ["127.0.0.2", PORT, "-q"]);
  await untilSet(doomed);
  assertEquals(await watch.end(), { code: 0, rest: [], complaints: [] });
});

systemTest("keepalive --watch ends quietly when nobody reads it any more", [], async (netns) => {
  const { client } = await Scene.make(netns, { count: 1 });
  const command = quote([...TCPHUP, "keepalive", "--watch=100ms", "127.0.0.2", PORT]);
  const piped = netns.run(["bash", "-c", `${command} | head -1; exit \${PIPESTATUS[0]}`]);
  // The first one that head does not read any more is the one that tells.
  let done = false;
  piped.finally(() => done = true);
  while (!done) {
    await client.connect("127.0.0.2", DOOMED_PORT);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { code, stdout, stderr } = await piped;
  assertEquals([code, stdout.split("\n").length, stderr], [0, 2, ""]);
});
