// The recipes of README.md, each run as it stands: against real programs, where the addresses are that it names.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Directory } from "../harness/directory.ts";
import { Namespace, type SpawnOptions } from "../harness/namespace.ts";
import { type Connections, Peer, Program, pythonProgram } from "../harness/peer.ts";
import { eventually, quote } from "../harness/process.ts";
import { nginx, redis } from "../harness/servers.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { assertExit, Run, TCPHUP, tcphup } from "../harness/tcphup.ts";

const README = await Deno.readTextFile(new URL("../../README.md", import.meta.url));

/** The text below a heading, up to the next heading of the same level or a higher one. */
function section(heading: string): string {
  const level = heading.indexOf(" ");
  const from = README.indexOf(`\n${heading}\n`) + 1;
  assert(from > 0, `README.md has no "${heading}"`);
  const rest = README.slice(from + heading.length);
  const next = rest.search(new RegExp(`^#{1,${level}} `, "m"));
  return next === -1 ? rest : rest.slice(0, next);
}

const TITLES = [...section("### Recipes").matchAll(/^#### (.*)$/gm)].map(([, title]) => title);

/** The only block of a recipe. */
function block(title: string): string {
  const blocks = [...section(`#### ${title}`).matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, text]) => text);
  assertEquals(blocks.length, 1, `blocks of "${title}"`);
  return blocks[0]!;
}

/** Runs a recipe as a shell does that ends at the first command that fails, with tcphup in its PATH; none may fail. */
async function follow(title: string, netns: Namespace, options: SpawnOptions = {}): Promise<Run> {
  using directory = new Directory();
  await Deno.writeTextFile(`${directory.path}/tcphup`, `#!/bin/sh\nexec ${quote(TCPHUP)} "$@"\n`);
  await Deno.chmod(`${directory.path}/tcphup`, 0o755);
  const env = { PATH: `${directory.path}:${Deno.env.get("PATH")}` };
  const run = new Run(await netns.run(["sh", "-euxc", block(title)], { ...options, env, cwd: directory.path }));
  assertExit(run, 0);
  return run;
}

/** What was tested. */
const tested: string[] = [];

function recipeTest(title: string, needs: readonly Need[], body: (netns: Namespace) => Promise<void>): void {
  tested.push(title);
  systemTest(`recipe: ${title}`, needs, body);
}

const PING = "PING\r\n";
const GET = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/** Fails unless a server still answers on each of the connections. */
async function assertAnswered(connections: Connections, request: string): Promise<void> {
  const before = await connections.seen();
  assertEquals(await connections.send(request), before.map(() => null));
  await eventually("the server answers", async () => {
    return (await connections.seen()).every(({ received }, i) => received > before[i]!.received);
  });
  assertEquals((await connections.seen()).map(({ ends }) => ends), before.map(() => []));
}

/** Hosts on one network, with an address of their own each, from a switch that is one of them. */
async function network(gateway: Namespace, address: string, hosts: ReadonlyMap<Namespace, string>): Promise<void> {
  await gateway.exec("ip", "link", "add", "switch", "type", "bridge");
  await gateway.exec("ip", "address", "add", address, "dev", "switch");
  await gateway.exec("ip", "link", "set", "switch", "up");
  let port = 0;
  for (const [host, hostAddress] of hosts) {
    const name = `port${port++}`;
    await gateway.exec("ip", "link", "add", name, "type", "veth", "peer", "name", "veth", "netns", host.name);
    await gateway.exec("ip", "link", "set", name, "master", "switch", "up");
    await host.exec("ip", "address", "add", hostAddress, "dev", "veth");
    await host.exec("ip", "link", "set", "veth", "up");
  }
}

recipeTest("A virtual IP has moved", ["redis-server"], async (netns) => {
  await using left = await Namespace.create();
  await using holder = await Namespace.create();
  const vip = "192.0.2.10/24";
  await network(netns, "192.0.2.1/24", new Map([[left, "192.0.2.11/24"], [holder, "192.0.2.12/24"]]));
  await left.exec("ip", "address", "add", vip, "dev", "veth");
  await using _before = await redis(left, "0.0.0.0");
  await using _after = await redis(holder, "0.0.0.0");
  const client = Peer.start(netns);
  const doomed = await client.connect("192.0.2.10", 6379, { count: 3 });
  const kept = [await client.connect("192.0.2.11", 6379), await client.connect("192.0.2.12", 6379)];
  for (const connections of [doomed, ...kept]) await assertAnswered(connections, PING);

  await left.exec("ip", "address", "del", vip, "dev", "veth");
  await holder.exec("ip", "address", "add", vip, "dev", "veth");
  // In place of the new holder's gratuitous ARP.
  await netns.exec("ip", "neighbour", "del", "192.0.2.10", "dev", "switch");
  assertEquals((await left.ss("src", "192.0.2.10")).length, 3);
  await eventually("nothing was heard from the old holder for long enough", async () => {
    const run = await tcphup(["ls", "192.0.2.10", "--silent-for", "2500ms", "--json"], { netns });
    return run.json().connections.length === 3;
  });

  const onHost = await follow("A virtual IP has moved", left);
  assertMatch(onHost.stdout, /^no connections match\n(.*\n)+hung up on 3 connections; all gone\n$/);
  assertEquals(await left.ss("src", "192.0.2.10"), []);
  await doomed.assertUnended();
  const onClients = await follow("A virtual IP has moved", netns);
  assertMatch(onClients.stdout, /hung up on 3 connections; all gone\nno connections match\n$/);
  // The new holder answers the FIN of a connection that it does not know with a RST, which may be the first to be noticed.
  for (const end of await doomed.ended()) assertMatch(end, /^(EOF|ECONNRESET)$/);
  await assertAnswered(await client.connect("192.0.2.10", 6379), PING);
  for (const connections of kept) await assertAnswered(connections, PING);
});

/** What makes processes see only each other, and no network namespace but their own: a host, as far as `--netns all` goes. */
async function hostWithin(netns: Namespace): Promise<readonly string[]> {
  const script = "mkdir -p /run/netns && mount -t tmpfs none /run/netns && exec sleep infinity";
  const keeper = netns.spawn(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script]);
  const pid = await eventually("the host is there", async () => {
    const children = await Deno.readTextFile(`/proc/${keeper.pid}/task/${keeper.pid}/children`);
    const child = children.trim().split(" ")[0]!;
    if (child === "") return false;
    return (await Deno.readTextFile(`/proc/${child}/comm`)).trim() === "sleep" && child;
  });
  return ["nsenter", "--target", pid, "--mount", "--pid", "--"];
}

recipeTest("Pods are gone", ["nginx", "unshare"], async (netns) => {
  await using pods = await Namespace.create();
  await using neighbour = await Namespace.create();
  const within = await hostWithin(netns);
  const [dead, alive, elsewhere] = ["192.0.2.17", "192.0.2.18", "198.51.100.3"];
  await netns.link(pods, ["192.0.2.1/24"], [`${alive}/24`, `${dead}/24`]);
  await neighbour.exec("ip", "address", "add", `${elsewhere}/32`, "dev", "lo");
  const site = "client_header_timeout 1h; keepalive_timeout 1h; server { listen 80; return 200 done; }";
  await using _pods = await nginx(pods, "0.0.0.0:80", site);
  await using _local = await nginx(neighbour, "0.0.0.0:80", site);
  const client = Peer.start(netns, { within });
  const stuck = await client.connect(dead, 80, { count: 2 });
  const kept = await client.connect(alive, 80);
  const other = Peer.start(neighbour, { within });
  const doomed = await other.connect(elsewhere, 80, { count: 2, source: "127.0.0.1" });
  const keptThere = await other.connect("127.0.0.1", 80);
  for (const connections of [stuck, kept, doomed, keptThere]) await assertAnswered(connections, GET);
  await netns.silence(dead, pods);

  const run = await follow("Pods are gone", netns, { within });
  assertMatch(run.stdout, /^2 +192\.0\.2\.17:80 +\d+\/python3 /m);
  assertMatch(run.stdout, /^2 +198\.51\.100\.3:80 +\d+\/python3 /m);
  assertMatch(run.stdout, /\nhung up on 2 and destroyed 2 of 4 connections; all gone\n$/);
  for (const connections of [stuck, doomed]) await connections.ended();
  assertEquals(await netns.ss("dst", dead), []);
  assertEquals(await neighbour.ss("state", "connected", "exclude", "time-wait", "dst", elsewhere), []);
  await assertAnswered(kept, GET);
  await assertAnswered(keptThere, GET);
});

recipeTest("Drain a database primary", ["redis-server"], async (netns) => {
  await using far = await Namespace.create();
  const [host, replica, clients] = ["192.0.2.11", "192.0.2.12", "192.0.2.13"];
  await netns.link(far, [`${host}/24`], [`${replica}/24`, `${clients}/24`]);
  await using _primary = await redis(netns, "0.0.0.0");
  await using _other = await nginx(netns, "0.0.0.0:80", "client_header_timeout 1h; server { listen 80; return 200; }");
  await using _replica = await redis(far, replica);
  const ask = async (...words: string[]) => await far.exec("redis-cli", "-h", replica, ...words);
  // So that it is from its own address that it connects, as from a host with no other.
  await far.exec("ip", "route", "replace", "192.0.2.0/24", "dev", "veth", "src", replica);
  await ask("replicaof", host, "6379");
  await eventually("it replicates", async () => (await ask("info", "replication")).includes("master_link_status:up"));
  const link = await netns.ss("src", `${host}:6379`, "dst", replica);
  assertEquals(link.length, 1);
  const client = Peer.start(far);
  const doomed = await client.connect(host, 6379, { count: 5, source: clients });
  const kept = await client.connect(host, 80, { source: clients });
  for (const [connections, request] of [[doomed, PING], [kept, GET]] as const) {
    await assertAnswered(connections, request);
  }

  // As programs do that notice an end-of-file.
  const closed = doomed.assertEnded("EOF").then(() => doomed.close());
  const run = await follow("Drain a database primary", netns);
  await closed;
  assertMatch(run.stdout, /\nhung up on 5 connections; all gone\n$/);
  const ends = (lines: string[]) => lines.map((line) => line.trim().split(/ +/).slice(3, 5));
  assertEquals(ends(await netns.ss("src", `${host}:6379`, "dst", replica)), ends(link));
  assertMatch(await ask("info", "replication"), /master_link_status:up/);
  assertEquals(await netns.resetsSent(), 0);
  await assertAnswered(kept, GET);
});

recipeTest("Connections that an application has leaked", ["redis-server"], async (netns) => {
  await using db = await redis(netns, "127.0.0.5");
  const application = Peer.start(netns);
  await application.setName("java");
  const leaked = await application.connect("127.0.0.5", 6379, { count: 3 });
  const kept = await application.connect("127.0.0.5", 6379);
  const tidy = Peer.start(netns);
  const others = await tidy.connect("127.0.0.5", 6379);
  for (const connections of [leaked, kept, others]) await assertAnswered(connections, PING);
  const kill = async (port: number) => {
    assertEquals(
      (await netns.exec("redis-cli", "-h", "127.0.0.5", "client", "kill", `127.0.0.1:${port}`)).trim(),
      "OK",
    );
  };
  for (const port of [...leaked.ports, ...others.ports]) await kill(port);
  const waiting = async () => (await netns.ss("state", "close-wait")).length;
  await eventually("they wait to be closed", async () => await waiting() === 4);

  const run = await follow("Connections that an application has leaked", netns);
  assertEquals(run.stdout.match(/^CLOSE-WAIT /gm)?.length, 4 + 3);
  assertMatch(run.stdout, /\nhung up on 3 connections\n$/);
  // What is another program's stays.
  await eventually("one is left", async () => await waiting() === 1);
  await assertAnswered(kept, PING);
  assertEquals((await db.log()).includes("error"), false);
});

const CALLERS = 12;
const [ANSWER_S, PAUSE_S] = [0.1, 1];

recipeTest("Rotate the connections of a gRPC pool", ["nginx"], async (netns) => {
  await using far = await Namespace.create();
  const [host, server] = ["192.0.2.1", "192.0.2.20"];
  await netns.link(far, [`${host}/24`], [`${server}/24`]);
  far.spawn(pythonProgram("slow_http.py", "127.0.0.4", 8080, ANSWER_S));
  await eventually("it listens", async () => (await far.ss("-l", "src", "127.0.0.4:8080")).length > 0);
  await using _server = await nginx(
    far,
    "0.0.0.0:50051",
    `keepalive_timeout 1h;
     client_header_timeout 1h;
     server {
       listen 50051 http2;
       location / {
         proxy_pass http://127.0.0.4:8080;
         proxy_method GET;
         proxy_pass_request_body off;
         proxy_set_header Content-Length "";
       }
     }
     server { listen 80; return 200; }`,
  );
  const other = Peer.start(netns);
  const kept = await other.connect(server, 80);
  await assertAnswered(kept, GET);
  const pool = new Program<{ requests: number; connects: number; failures: string[] }>(
    netns,
    "grpc_pool.py",
    server,
    50051,
    CALLERS,
    PAUSE_S,
  );
  const ports = async () => {
    const lines = await netns.ss("state", "established", "dst", `${server}:50051`);
    return lines.map((line) => /:(\d+) +192\.0\.2\.20:50051/.exec(line)![1]);
  };
  const before = await eventually("all are connected", async () => {
    const found = await ports();
    return found.length === CALLERS && found;
  });

  const run = await follow("Rotate the connections of a gRPC pool", netns);
  assertMatch(run.stdout, new RegExp(`\nhung up on ${CALLERS} connections\n$`));
  const after = await eventually("all are connected anew", async () => {
    const found = await ports();
    return found.length === CALLERS && found.every((port) => !before.includes(port)) && found;
  });
  assertEquals(new Set(after).size, CALLERS);
  const { failures, connects } = await pool.end();
  assertEquals(failures, []);
  assertEquals(connects, 2 * CALLERS);
  await assertAnswered(kept, GET);
});

Deno.test("each recipe of README.md is run here, and each that is run here is in README.md", () => {
  assertEquals(TITLES, tested);
});
