// Programs that people run: curl, nginx and Redis get over a hang-up as over any end-of-file. No connection of theirs may
// be reset. Segments with RST are not counted here: these servers close so soon that the kernel sends one now and then
// after both ends have closed (see CLOSING_DELAY_S in peer.py).

import { assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import type { Namespace } from "../harness/namespace.ts";
import { Peer } from "../harness/peer.ts";
import { eventually, outputOf } from "../harness/process.ts";
import { POSTGRESQL } from "../harness/postgresql.ts";
import { nginx, postgresql, redis } from "../harness/servers.ts";
import { systemTest } from "../harness/system.ts";
import { Terminal } from "../harness/terminal.ts";
import { tcphup } from "../harness/tcphup.ts";

/**
 * curl that gets an address twice, five seconds apart, and keeps its connection alive in between. Its result is how many
 * connections each of the two took.
 */
function patientCurl(netns: Namespace, address: string): Promise<string> {
  const url = `http://${address}/`;
  const command = ["curl", "--silent", "--show-error", "--fail", "--rate", "12/m", "--write-out", "%{num_connects} "];
  const child = netns.spawn([...command, "--output", "/dev/null", url, "--output", "/dev/null", url]);
  return outputOf(child, command).then(({ code, stdout, stderr }) =>
    `exit ${code}, connects ${stdout.trim()}${stderr}`
  );
}

const RECONNECTED = "exit 0, connects 1 1";
const UNDISTURBED = "exit 0, connects 1 0";

/** Waits until there is an idle connection to an address, on which data has gone both ways. */
async function idleConnectionTo(netns: Namespace, address: string): Promise<void> {
  await eventually(`an idle connection to ${address}`, async () => {
    const lines = await netns.ss("-i", "state", "established", "dst", address);
    return lines.some((line) => /bytes_sent:\d.*bytes_received:\d/.test(line));
  });
}

systemTest(
  "curl's keep-alive connection to nginx: curl connects anew and succeeds",
  ["curl", "nginx"],
  async (netns) => {
    await using server = await nginx(
      netns,
      "127.0.0.3:80",
      `server { listen 127.0.0.3:80; listen 127.0.0.4:80; return 200 "hello"; }`,
    );
    const [doomed, kept] = [patientCurl(netns, "127.0.0.3"), patientCurl(netns, "127.0.0.4")];
    await idleConnectionTo(netns, "127.0.0.3");
    await idleConnectionTo(netns, "127.0.0.4");
    const run = await tcphup(["127.0.0.3", "http", "--json"], { netns, code: 0 });
    assertEquals(run.json().connections.map(({ owners, outcome }) => [owners[0]!.comm, outcome]), [[
      "curl",
      "hung-up",
    ]]);
    assertEquals(await doomed, RECONNECTED);
    assertEquals(await kept, UNDISTURBED);
    assertEquals(await netns.connectionsReset(), 0);
    assertNotMatch(await server.log(), /\[(error|crit|alert|emerg)\]/);
  },
);

systemTest("nginx's keep-alive connections to its upstream: nginx opens others", ["curl", "nginx"], async (netns) => {
  await using server = await nginx(
    netns,
    "127.0.0.3:80",
    `upstream back { server 127.0.0.2:8080; keepalive 8; }
     server { listen 127.0.0.2:8080; return 200 "hello"; }
     server {
       listen 127.0.0.3:80;
       location / { proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; }
     }`,
  );
  const client = patientCurl(netns, "127.0.0.3");
  await idleConnectionTo(netns, "127.0.0.2");
  const run = await tcphup(["127.0.0.2", "8080", "--json"], { netns, code: 0 });
  assertEquals(run.json().connections.map(({ owners, outcome }) => [owners[0]!.comm, outcome]), [["nginx", "hung-up"]]);
  assertEquals(await client, UNDISTURBED);
  await idleConnectionTo(netns, "127.0.0.2");
  assertEquals(await netns.connectionsReset(), 0);
  assertNotMatch(await server.log(), /\[(error|crit|alert|emerg)\]/);
});

systemTest("clients of Redis that are idle: hung up on from the client's side", ["redis-server"], async (netns) => {
  await using _server = await redis(netns, "127.0.0.2");
  await using _other = await redis(netns, "127.0.0.3");
  const client = Peer.start(netns);
  const doomed = await client.connect("127.0.0.2", 6379, { count: 3 });
  const kept = await client.connect("127.0.0.3", 6379, { count: 3 });
  const ping = async (connections: typeof kept, times: number) => {
    await connections.send("PING\r\n");
    await eventually("+PONG", async () => {
      return (await connections.seen()).every(({ received }) => received === times * "+PONG\r\n".length);
    });
  };
  await ping(doomed, 1);
  await ping(kept, 1);
  const run = await tcphup(["127.0.0.2", "6379", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await doomed.assertEnded("EOF");
  await ping(kept, 2);
  assertEquals(await netns.connectionsReset(), 0);
  await eventually("Redis has let its clients go", async () => {
    return /connected_clients:1\r/.test(await netns.exec("redis-cli", "-h", "127.0.0.2", "INFO", "clients"));
  });
});

systemTest("a client of Redis: hung up on from the server's side", ["redis-server"], async (netns) => {
  await using _server = await redis(netns, "127.0.0.2");
  const client = Peer.start(netns);
  const doomed = await client.connect("127.0.0.2", 6379, { source: "127.0.0.9" });
  const kept = await client.connect("127.0.0.2", 6379, { source: "127.0.0.8" });
  await eventually("Redis has both clients", async () => {
    return /connected_clients:3\r/.test(await netns.exec("redis-cli", "-h", "127.0.0.2", "INFO", "clients"));
  });
  const run = await tcphup(["127.0.0.9", "--json"], { netns, code: 0 });
  assertMatch(run.json().connections[0]!.owners[0]!.comm, /^redis-server/);
  await doomed.assertEnded("EOF");
  await kept.send("PING\r\n");
  await eventually("+PONG", async () => (await kept.seen())[0]!.received > 0);
  assertEquals(await netns.connectionsReset(), 0);
});

systemTest("redis-cli in the middle of a session: the next command says so", ["redis-server"], async (netns) => {
  await using _server = await redis(netns, "127.0.0.2");
  const session = netns.spawn(["sh", "-c", "(echo PING; read -r _; echo PING) | redis-cli -h 127.0.0.2"]);
  await idleConnectionTo(netns, "127.0.0.2");
  await tcphup(["127.0.0.2", "6379"], { netns, code: 0 });
  const writer = session.stdin.getWriter();
  await writer.write(new TextEncoder().encode("go on\n"));
  await writer.close();
  const { stdout, stderr } = await outputOf(session, ["redis-cli"]);
  assertMatch(stdout, /^PONG\n/);
  assertMatch(stderr, /Server closed the connection|Broken pipe/);
});

/** A session of psql on a terminal, which sees an answer before it is given back. */
async function psql(netns: Namespace, address: string, statement: string, answer: string): Promise<Terminal> {
  const session = new Terminal(netns, [
    `${POSTGRESQL}/psql`,
    "-X",
    "-h",
    address,
    "-U",
    "postgres",
    "--pset=pager=off",
  ]);
  await session.type(`${statement};\n`);
  await session.expect(answer);
  return session;
}

systemTest("psql's session: psql connects anew; another server's goes on", ["postgresql", "setpriv"], async (netns) => {
  await using server = await postgresql(netns, "127.0.0.5", "127.0.0.6");
  const doomed = await psql(netns, "127.0.0.5", "SELECT 40 + 2", "42");
  const kept = await psql(netns, "127.0.0.6", "CREATE TEMP TABLE kept AS SELECT 4711 AS n", "SELECT 1");
  const run = await tcphup(["127.0.0.5", "postgresql", "--json"], { netns, code: 0 });
  assertEquals(run.json().connections.map(({ owners, outcome }) => [owners[0]!.comm, outcome]), [["psql", "hung-up"]]);
  await doomed.type("SELECT 1;\n");
  await doomed.expect("Attempting reset: Succeeded.");
  await doomed.type("SELECT 6 * 7;\n");
  await doomed.expect("42");
  await kept.type("SELECT n FROM kept;\n");
  await kept.expect("4711");
  assertEquals(await netns.connectionsReset(), 0);
  for (const session of [doomed, kept]) {
    await session.type("\\q\n");
    await session.end(0);
  }
  assertNotMatch(await server.log(), /FATAL|PANIC|unexpected EOF/);
});

systemTest(
  "pgbench at work is left alone by --when-idle --leave-busy, an idle session is not",
  ["postgresql", "setpriv"],
  async (netns) => {
    await using server = await postgresql(netns, "127.0.0.5");
    const idle = await psql(netns, "127.0.0.5", "SELECT 40 + 2", "42");
    const script = await Deno.makeTempFile({ prefix: "tcphup-test-" });
    await Deno.writeTextFile(script, "SELECT 1;\n");
    const load = [
      "--no-vacuum",
      "--client=4",
      "--time=7",
      `--file=${script}`,
      "--host=127.0.0.5",
      "--username=postgres",
    ];
    const command = [`${POSTGRESQL}/pgbench`, ...load, "postgres"];
    const pgbench = outputOf(netns.spawn(command), command);
    await eventually("four clients are at work", async () => {
      const lines = await netns.ss("-i", "state", "established", "dst", "127.0.0.5");
      return lines.filter((line) => /segs_out:\d{3}/.test(line)).length === 4;
    });
    const run = await tcphup(["127.0.0.5", "--when-idle=1500ms", "--deadline=3", "--leave-busy", "--json"], { netns });
    const { code, stdout, stderr } = await pgbench;
    assertEquals([code, stderr.match(/aborted/g)], [0, null], stdout + stderr);
    assertMatch(stdout, /number of failed transactions: 0 /);
    const { connections, hung_up, skipped } = run.json();
    assertEquals([hung_up, skipped], [1, 4]);
    const cut = connections.find(({ outcome }) => outcome === "hung-up");
    assertEquals(cut?.owners[0]?.comm, "psql");
    await idle.type("SELECT 1;\n");
    await idle.expect("Attempting reset: Succeeded.");
    await Deno.remove(script);
    assertNotMatch(await server.log(), /PANIC|unexpected EOF/);
  },
);
