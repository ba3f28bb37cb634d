// tcphup ls on real programs: what it says of keepalive, timers and traffic, against what the programs and ss say.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { JsonDocument, Row } from "../../src/cli/output/json.ts";
import type { Listing } from "../../src/list.ts";
import type { Group, Totals } from "../../src/report/summary.ts";
import { UNTOUCHED } from "../harness/keepalive.ts";
import type { Namespace } from "../harness/namespace.ts";
import { type Connections, Peer } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertOneLine, assertUsageError, DOOMED_PORT, KEPT_PORT, makePool, Scene } from "../harness/scene.ts";
import { nginx, redis } from "../harness/servers.ts";
import { systemTest } from "../harness/system.ts";
import { PublicCopy, type Run, TCPHUP, tcphup, type TcphupOptions } from "../harness/tcphup.ts";

/** The document that --json prints. */
type Document = JsonDocument<Listing> & { schema: number; command: string; matched: number };

/** The document that --summary --json prints. */
type SummaryDocument = Document & { idle_after_ms: number; total: JsonDocument<Totals>; groups: JsonDocument<Group>[] };

async function ls(args: readonly string[], options: TcphupOptions): Promise<Run> {
  return await tcphup(["ls", ...args], { ...options, code: 0 });
}

systemTest("ls of nothing says so, and shows no table", [], async (netns) => {
  for (const args of [["127.0.0.77"], ["127.0.0.77", "--columns", "+idle"], ["127.0.0.77", "--sort", "idle"]]) {
    const run = await ls(args, { netns });
    assertEquals([run.stdout, run.stderr], ["no connections match\n", ""]);
  }
});

async function listed(args: readonly string[], netns: Namespace): Promise<Document> {
  return (await ls([...args, "--json"], { netns })).json<Document>();
}

/** The connections with these local ports, in the order of the ports. */
function from(ports: readonly number[], { connections }: Document): JsonDocument<Row>[] {
  return ports.map((port) => connections.find(({ src }) => src.port === port)!);
}

/** The lines of a table without its header, cell by cell. */
function cells(stdout: string): string[][] {
  return stdout.trimEnd().split("\n").slice(1).map((line) => line.split(/ {2,}/));
}

const NEVER = { idle_ms: null, in_flight_ms: 924_600 };

/** A client of four connections, each with a keepalive of its own. */
async function fourKeepalives(netns: Namespace): Promise<[Connections, Connections, Connections, Connections]> {
  const server = Peer.start(netns);
  await server.listen("127.0.0.2", DOOMED_PORT);
  const client = Peer.start(netns);
  const connect = () => client.connect("127.0.0.2", DOOMED_PORT);
  const [plain, on, tuned, timed] = await Promise.all([connect(), connect(), connect(), connect()]);
  await server.serving(4);
  await on.setKeepalive({ enabled: true });
  await tuned.setKeepalive({ idle_s: 15, interval_s: 10, count: 4, user_timeout_ms: 55_000, enabled: true });
  await timed.setKeepalive({ user_timeout_ms: 30_000 });
  return [plain, on, tuned, timed];
}

systemTest("keepalive is what the application itself reads, and what it means for a dead peer", [], async (netns) => {
  const pools = await fourKeepalives(netns);
  const inside = (await Promise.all(pools.map((pool) => pool.keepalive()))).flat();
  const document = await listed(["127.0.0.2", `${DOOMED_PORT}`], netns);
  const found = from(pools.flatMap(({ ports }) => ports), document);
  assertEquals(found.map(({ keepalive }) => keepalive), inside);
  assertEquals(inside, [
    UNTOUCHED,
    { ...UNTOUCHED, enabled: true },
    { enabled: true, idle_s: 15, interval_s: 10, count: 4, user_timeout_ms: 55_000 },
    { ...UNTOUCHED, user_timeout_ms: 30_000 },
  ]);
  assertEquals(found.map(({ dead_peer_noticed }) => dead_peer_noticed), [
    NEVER,
    { idle_ms: 7_875_000, in_flight_ms: 924_600 },
    { idle_ms: 55_000, in_flight_ms: 55_000 },
    { idle_ms: null, in_flight_ms: 30_000 },
  ]);
  assertEquals(document.keepalive_unreadable, []);
});

systemTest("--keepalive says it in a table, in words", [], async (netns) => {
  const pools = await fourKeepalives(netns);
  const run = await ls(["127.0.0.2", `${DOOMED_PORT}`, "--keepalive", "--columns", "local"], { netns });
  const rows = new Map(cells(run.stdout).map(([local, ...rest]) => [local, rest]));
  assertEquals(pools.map(({ ports: [port] }) => rows.get(`127.0.0.1:${port}`)), [
    ["off", "never; with data 15 min 25 s"],
    ["7200s+9*75s", "2 h 11 min; with data 15 min 25 s"],
    ["15s+4*10s,user-timeout:55000ms", "55 s; with data 55 s"],
    ["off,user-timeout:30000ms", "never; with data 30 s"],
  ]);
  assertOneLine(
    run,
    /= 7200, 75, 9: a dead peer is noticed after 2 h 11 min with SO_KEEPALIVE alone, never without it/,
  );
});

systemTest("the settings are those of the namespace, which connections follow", [], async (netns) => {
  const [, on, tuned] = await fourKeepalives(netns);
  const settings = { tcp_keepalive_time: 60, tcp_keepalive_intvl: 10, tcp_keepalive_probes: 3 };
  for (const [name, value] of Object.entries(settings)) {
    await netns.exec("sysctl", "--write", `net.ipv4.${name}=${value}`);
  }
  const document = await listed(["127.0.0.2", `${DOOMED_PORT}`], netns);
  const [follows, own] = from([...on.ports, ...tuned.ports], document);
  assertEquals(follows?.keepalive, (await on.keepalive())[0]);
  assertEquals(follows?.dead_peer_noticed?.idle_ms, 90_000);
  assertEquals(own?.keepalive?.idle_s, 15);
  const { netns: inode, ...shown } = document.sysctls![0]!;
  assertEquals({ ...shown, ...settings }, shown);
  assertEquals(`net:[${inode}]`, (await netns.exec("readlink", "/proc/self/ns/net")).trim());
  const run = await ls(["any", "-k"], { netns });
  assertMatch(run.stderr, / = 60, 10, 3: a dead peer is noticed after 1 min 30 s with SO_KEEPALIVE alone/);
});

/** The timer of each connection, by its ends, as `ss -tno` prints it. */
async function timersOfSs(netns: Namespace): Promise<Map<string, string>> {
  const lines = (await netns.ss("-o")).map((line) => line.trim().split(/\s+/));
  return new Map(lines.map(([, , , local, remote, timer = ""]) => [`${local} ${remote}`, timer]));
}

/** A timer without its time: `timer:(keepalive,,0)`. */
function untimed(timer: string): string {
  return timer.replace(/,[^,]*,/, ",,");
}

/** Seconds of a timer that has at least ten of them: `1min52sec`. */
function secondsOf(timer: string): number {
  const [, minutes = "0", seconds = "0"] = /,(?:(\d+)min)?(?:(\d+)sec)?,/.exec(timer)!;
  return 60 * Number(minutes) + Number(seconds);
}

systemTest("timers are those of ss, in its notation", [], async (netns) => {
  const pools = await fourKeepalives(netns);
  const run = await ls(["any", "--columns", "local,remote,timer"], { netns });
  const expected = await timersOfSs(netns);
  const rows = cells(run.stdout);
  assertEquals(rows.length, 8);
  for (const [local, remote, timer = ""] of rows) {
    const other = expected.get(`${local} ${remote}`)!;
    assertEquals(untimed(timer), untimed(other), local);
    if (timer !== "") assert(Math.abs(secondsOf(timer) - secondsOf(other)) <= 5, `${timer} and ${other}`);
  }
  const timed = rows.filter(([, , timer]) => timer !== undefined).map(([local]) => local);
  assertEquals(timed.sort(), pools.slice(1, 3).map(({ ports: [port] }) => `127.0.0.1:${port}`).sort());
});

systemTest("redis-server's and nginx's keepalive is as they are configured", [
  "redis-server",
  "nginx",
], async (netns) => {
  await using _redis = await redis(netns, "127.0.0.2");
  await using _nginx = await nginx(
    netns,
    "127.0.0.3:80",
    "server { listen 127.0.0.3:80 so_keepalive=30s:5s:4; } server { listen 127.0.0.3:81; }",
  );
  const client = Peer.start(netns);
  await client.connect("127.0.0.2", 6379);
  await client.connect("127.0.0.3", 80);
  await client.connect("127.0.0.3", 81);
  const accepted = await eventually("three accepted connections", async () => {
    const { connections } = await listed(["any"], netns);
    const held = connections.filter(({ owners }) => owners.some(({ comm }) => /^(redis-server|nginx)$/.test(comm)));
    return held.length === 3 && held;
  });
  const keepaliveAt = (port: number) => accepted.find(({ src }) => src.port === port)?.keepalive;
  // Redis: tcp-keepalive is 300 s unless configured; it probes every third of that, three times (anetKeepAlive).
  assertEquals(keepaliveAt(6379), { enabled: true, idle_s: 300, interval_s: 100, count: 3, user_timeout_ms: 0 });
  assertEquals(keepaliveAt(80), { enabled: true, idle_s: 30, interval_s: 5, count: 4, user_timeout_ms: 0 });
  assertEquals(keepaliveAt(81), UNTOUCHED);
});

systemTest("an MPTCP connection has a keepalive, and no user timeout to speak of", ["MPTCP"], async (netns) => {
  const { pool } = await makePool(netns, { protocol: "mptcp" });
  await pool.setKeepalive({ enabled: true, idle_s: 100 });
  const connection = from(pool.ports, await listed(["127.0.0.2", `${DOOMED_PORT}`], netns))[0]!;
  assertEquals(connection.protocol, "mptcp");
  assertEquals(connection.keepalive, { ...UNTOUCHED, enabled: true, idle_s: 100, user_timeout_ms: null });
  assertEquals(connection.dead_peer_noticed?.idle_ms, (100 + 9 * 75) * 1000);
});

systemTest("looking at keepalive leaves connections and their ends alone", [], async (netns) => {
  const scene = await Scene.make(netns);
  await scene.server.serving(6);
  for (let i = 0; i < 3; i++) await ls(["any", "--json"], { netns });
  await scene.assertUntouched();
  const accepted = await scene.server.serving(6);
  await scene.client.end();
  await accepted.assertEnded("EOF");
  assertEquals(await netns.resetsSent(), 0, "segments with RST");
});

systemTest("keepalive that cannot be read is null, and why is said once", [], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("127.0.0.2", DOOMED_PORT);
  const root = Peer.start(netns);
  const theirs = await root.connect("127.0.0.2", DOOMED_PORT, { count: 3 });
  const user = 1234;
  const own = await Peer.start(netns, { user }).connect("127.0.0.2", DOOMED_PORT);
  await own.setKeepalive({ enabled: true });
  await using copy = await PublicCopy.make();
  const { command, env, cwd } = copy;
  const run = await ls(["127.0.0.2", "--json"], { netns, command, env, cwd, user });
  const document = run.json<Document>();
  assertEquals(from(theirs.ports, document).map(({ keepalive }) => keepalive), [null, null, null]);
  assertEquals(from(theirs.ports, document).map(({ dead_peer_noticed }) => dead_peer_noticed), [null, null, null]);
  assertEquals(from(own.ports, document)[0]!.keepalive, { ...UNTOUCHED, enabled: true });
  assertEquals(document.keepalive_unreadable?.map(({ count }) => count), [3]);
  const table = await ls(["127.0.0.2", "--columns", "local,keepalive"], { netns, command, env, cwd, user });
  assertEquals(cells(table.stdout).map(([, keepalive]) => keepalive).sort(), ["7200s+9*75s", "?", "?", "?"]);
  const why = table.stderr.match(/keepalive of 3 of 4 connections could not be read: \S+/g);
  assertEquals(why?.length, 1, table.stderr);
});

systemTest("a connection that is not accepted yet has nobody to ask", [], async (netns) => {
  const { pool } = await makePool(netns, { accept: false });
  const document = await listed(["any", "--no-bpf"], netns);
  assertEquals(document.keepalive_unreadable, [{ reason: "not yet accepted by the application", count: 1 }]);
  assertEquals(from([DOOMED_PORT], document)[0]!.keepalive, null);
  assertEquals(from(pool.ports, document)[0]!.keepalive, UNTOUCHED);
});

systemTest("what it says of traffic is what ss -i says", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 2 });
  await scene.doomed.send("x".repeat(3000));
  await scene.doomed.assertAlive();
  const { connections } = await listed(["127.0.0.2", `${DOOMED_PORT}`], netns);
  const lines = await netns.ss("-i", "dst", `127.0.0.2:${DOOMED_PORT}`);
  assertEquals(connections.length, 2);
  for (const { src, tcp_info: info } of connections) {
    const line = lines.find((line) => line.includes(` 127.0.0.1:${src.port} `))!;
    const ofSs = (name: string) => Number(new RegExp(` ${name}:([\\d.]+)`).exec(line)?.[1] ?? 0);
    assertEquals(
      [info?.bytes_acked, info?.bytes_received, info?.unacked, info?.rtt_us, info?.rto_us],
      [
        ofSs("bytes_acked"),
        ofSs("bytes_received"),
        ofSs("unacked"),
        Math.round(ofSs("rtt") * 1000),
        ofSs("rto") * 1000,
      ],
    );
    // Ours is the earlier look.
    assert(info!.last_data_sent_ms <= ofSs("lastsnd") && info!.last_data_recv_ms <= ofSs("lastrcv"), line);
  }
});

systemTest("the longest idle connection comes first when sorted so", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 1 });
  await new Promise((resolve) => setTimeout(resolve, 200));
  await scene.kept.assertAlive();
  const run = await ls(["127.0.0.2", "--columns", "remote,idle", "--sort", "-idle"], { netns });
  assertEquals(cells(run.stdout).map(([remote]) => remote), [`127.0.0.2:${DOOMED_PORT}`, `127.0.0.2:${KEPT_PORT}`]);
  const reverse = (await ls(["127.0.0.2", "--json", "--sort", "idle"], { netns })).json<Document>();
  assertEquals(reverse.connections.map(({ dst }) => dst.port), [KEPT_PORT, DOOMED_PORT]);
});

/** A scene with a name, a queue and a keepalive to be summed up. */
async function sceneToSum(netns: Namespace): Promise<Scene> {
  const scene = await Scene.make(netns);
  await scene.client.setName("pool\x1b[31m");
  const accepted = await scene.server.serving(6);
  await accepted.stopReading();
  await scene.doomed.send("four");
  await scene.doomed.setKeepalive({ enabled: true });
  return scene;
}

systemTest("--summary counts by destination and process", [], async (netns) => {
  const scene = await sceneToSum(netns);
  const document = (await ls(["any", "--summary", "--json"], { netns })).json<SummaryDocument>();
  const { total, groups, matched, idle_after_ms } = document;
  assertEquals({ matched, idle_after_ms }, { matched: 12, idle_after_ms: 60_000 });
  const none = { idle: 0, without_keepalive: 0, keepalive_unknown: 0, rqueue: 0, wqueue: 0 };
  assertEquals(total, { ...none, count: 12, states: { ESTAB: 12 }, without_keepalive: 9, rqueue: 12 });
  const expected = [DOOMED_PORT, KEPT_PORT].flatMap((port) => {
    const common = { destination: { address: "127.0.0.2", port }, peers: 1, count: 3, states: { ESTAB: 3 } };
    const doomed = port === DOOMED_PORT;
    return [
      { ...none, ...common, direction: "in", rqueue: doomed ? 12 : 0, without_keepalive: 3, pids: [scene.server.pid] },
      { ...none, ...common, direction: "out", without_keepalive: doomed ? 0 : 3, pids: [scene.client.pid] },
    ];
  });
  const key = (group: { direction: string; destination: { port: number } }) =>
    `${group.destination.port} ${group.direction}`;
  const found = groups.map(({ netns: _netns, process: _process, ...group }) => group);
  assertEquals(
    found.sort((a, b) => key(a).localeCompare(key(b))),
    expected.sort((a, b) => key(a).localeCompare(key(b))) as typeof found,
  );
  assertEquals(groups.find(({ direction }) => direction === "out")?.process, "pool\x1b[31m");
});

systemTest("--summary is a table, and says what is a danger and what is not", [], async (netns) => {
  const scene = await sceneToSum(netns);
  const { stdout } = await ls(["127.0.0.2", "--summary"], { netns });
  assertMatch(stdout, /^Count +Destination +Process +State +Idle +No keepalive +Recv-Q +Send-Q\n/);
  const process = `${scene.client.pid}/pool\\x1b[31m`;
  const rows = cells(stdout).filter(([count = ""]) => /^\d+$/.test(count));
  assertEquals(rows.sort(), [
    ["3", `127.0.0.2:${DOOMED_PORT}`, process, "ESTAB", "0", "0", "0", "0"],
    ["3", `127.0.0.2:${KEPT_PORT}`, process, "ESTAB", "0", "3", "0", "0"],
  ]);
  assertMatch(stdout, /^6 connections: 6 ESTAB; 0 idle for 1 min or longer; 3 without keepalive; 0 bytes not read/m);
  assertMatch(stdout, /a dead peer is noticed after 2 h 11 min with SO_KEEPALIVE alone, never without it/);
});

systemTest("a summary of nothing says so", [], async (netns) => {
  const { stdout } = await ls(["192.0.2.1", "--summary"], { netns });
  assertMatch(stdout, /^no connections match\n/);
});

systemTest("--json-lines has a connection, or a group, on each line", [], async (netns) => {
  await Scene.make(netns);
  const lines = (await ls(["127.0.0.2", "--json-lines"], { netns })).stdout.trimEnd().split("\n");
  const { connections } = await listed(["127.0.0.2"], netns);
  const objects: JsonDocument<Row>[] = lines.map((line) => JSON.parse(line));
  assertEquals(objects.map(({ cookie }) => cookie).sort(), connections.map(({ cookie }) => cookie).sort());
  assertEquals(Object.keys(objects[0]!), Object.keys(connections[0]!));
  const groups = (await ls(["127.0.0.2", "--json-lines", "--summary"], { netns })).stdout.trimEnd().split("\n");
  assertEquals(groups.map((line) => JSON.parse(line).count), [3, 3]);
  assertEquals((await ls(["192.0.2.1", "--json-lines"], { netns })).stdout, "");
});

systemTest("a reader that goes away is no error", [], async (netns) => {
  await Scene.make(netns, { count: 50 });
  for (const format of ["--json-lines", "--keepalive", "--json"]) {
    const script = `"$@" | head -c 20 > /dev/null; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await netns.run(["bash", "-c", script, "bash", ...TCPHUP, "ls", "any", format]);
    assertEquals({ stdout, stderr: stderr.replace(/^tcphup: net\.ipv4\..*\n/, "") }, { stdout: "0\n", stderr: "" });
  }
});

systemTest("what cannot be shown is refused", [], async (netns) => {
  const refused = async (args: string[], says: RegExp) =>
    assertUsageError(await tcphup(["ls", "any", ...args], { netns }), says);
  await refused(["--columns", "state,colour"], /Unknown column "colour" for --columns: expected state, recv-q,/);
  await refused(["--columns", ""], /"--columns" needs a value/);
  await refused(["--sort", "-colour"], /Unknown column "colour" for --sort/);
  await refused(["--sort"], /"--sort" needs a value/);
  await refused(["--json", "--json-lines"], /--json and --json-lines cannot be used together/);
  await refused(["--json", "--columns", "state"], /--columns and --json cannot be used together/);
  await refused(["--summary", "--sort", "state"], /--sort and --summary cannot be used together/);
  await refused(["--watch"], /--watch shows the list on a terminal: add --json-lines/);
  await refused(["--watch", "--json"], /--watch and --json cannot be used together/);
  await refused(["--watch=1ms", "--json-lines"], /--watch "1ms" is out of range: expected 100ms to 24 days/);
  await refused(["--watch=now", "--json-lines"], /Not a time for --watch: "now"/);
  assertUsageError(await tcphup(["any", "--summary"], { netns }), /"tcphup hup" has no option "--summary"/);
});
