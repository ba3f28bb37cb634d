// --when-idle: requests under way are finished, only the pauses between them are cut.

import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { Namespace } from "../harness/namespace.ts";
import { Program, pythonProgram } from "../harness/peer.ts";
import { eventually, outputOf } from "../harness/process.ts";
import { assertCountsAddUp, deadPeer, DOOMED_PORT, makePool, Scene } from "../harness/scene.ts";
import { nginx } from "../harness/servers.ts";
import { systemTest } from "../harness/system.ts";
import { Terminal } from "../harness/terminal.ts";
import { type Run, TCPHUP, tcphup } from "../harness/tcphup.ts";

const CLIENTS = 40;
/** Seconds before the server answers, and before a client sends its next request. A busy machine takes longer. */
const [ANSWER_S, PAUSE_S] = [0.15, 1.2];
/** What counts as a pause between them. */
const IDLE_S = 0.6;

/** The report of programs/http_pool.py. */
interface PoolReport {
  requests: number;
  connects: number;
  /** Each with the seconds since its request had begun. */
  failures: [error: string, age_s: number][];
}

/** A pool of keep-alive connections to nginx, before a server that takes its time; and what the pool says of it all. */
async function httpPool(netns: Namespace, cut: () => Promise<void>): Promise<PoolReport> {
  netns.spawn(pythonProgram("slow_http.py", "127.0.0.4", 8080, ANSWER_S));
  await eventually("it listens", async () => (await netns.ss("-l", "src", "127.0.0.4:8080")).length > 0);
  await using _server = await nginx(
    netns,
    "127.0.0.3:80",
    `upstream back { server 127.0.0.4:8080; keepalive ${CLIENTS}; }
     server {
       listen 127.0.0.3:80;
       keepalive_timeout 1h;
       location / {
         proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection "";
         # A request may begin at the moment of the cut; nginx as a proxy would give it up for the FIN.
         proxy_ignore_client_abort on;
       }
     }`,
  );
  const pool = new Program<PoolReport>(netns, "http_pool.py", "127.0.0.3", 80, CLIENTS, PAUSE_S);
  const connected = async () => {
    return (await netns.ss("state", "established", "dst", "127.0.0.3")).length === CLIENTS;
  };
  await eventually("all have connected", connected);
  await cut();
  await eventually("all have connected again", connected);
  return await pool.end();
}

systemTest("an HTTP pool under load: no request fails", ["nginx"], async (netns) => {
  const runs: Run[] = [];
  const { failures, connects, requests } = await httpPool(netns, async () => {
    for (let i = 0; i < 3; i++) {
      runs.push(await tcphup(["127.0.0.3", "http", "--when-idle", `${IDLE_S}s`, "--json"], { netns, code: 0 }));
    }
  });
  for (const run of runs) assertCountsAddUp(run);
  assertEquals(runs[0]!.json().hung_up, CLIENTS);
  // Where the machine is so busy that an answer takes longer than that, nothing tells a request from a pause.
  assertEquals(failures.filter(([, age_s]) => age_s < IDLE_S), []);
  const cuts = runs.reduce((sum, run) => sum + run.json().hung_up, 0);
  assertEquals(connects, CLIENTS + cuts, `each that was cut connected anew, for ${requests} requests`);
});

systemTest("the same pool without --when-idle: requests fail", ["nginx"], async (netns) => {
  const { failures } = await httpPool(netns, async () => {
    for (let i = 0; i < 3; i++) await tcphup(["127.0.0.3", "http"], { netns, code: 0 });
  });
  assert(failures.length > 0);
  for (const [error] of failures) {
    assertMatch(error, /^(RemoteDisconnected|IncompleteRead|BrokenPipe|ConnectionReset)/);
  }
});

systemTest(
  "wrk, which never pauses: left alone with --leave-busy, else cut at the deadline",
  ["nginx", "wrk"],
  async (netns) => {
    await using _server = await nginx(
      netns,
      "127.0.0.3:80",
      `server { listen 127.0.0.3:80; keepalive_requests 1000000000; return 200 "hello"; }`,
    );
    const load = async (code: number, ...args: string[]) => {
      const command = ["wrk", "--threads", "1", "--connections", "10", "--duration", "1h", "http://127.0.0.3/"];
      const wrk = netns.spawn(command);
      await eventually("wrk is at work", async () => {
        return (await netns.ss("state", "established", "dst", "127.0.0.3")).length === 10;
      });
      // Longer than the deadline, since on a busy machine even wrk pauses.
      const run = await tcphup(["127.0.0.3", "http", "--when-idle", "10s", ...args, "--json"], { netns, code });
      wrk.kill("SIGINT");
      return { run, said: (await outputOf(wrk, command)).stdout };
    };

    const left = await load(3, "--deadline", "1", "--leave-busy");
    assertEquals(left.run.json().skipped, 10);
    for (const { error } of left.run.json().connections) assertMatch(error!, /^busy until the deadline: /);
    assertNotMatch(left.said, /Socket errors/);

    const cut = await load(0, "--deadline", "1");
    assertEquals(cut.run.json().hung_up, 10);
    assertMatch(cut.said, /Socket errors/);
  },
);

systemTest("data that waits to be read, or to be acknowledged, is under way", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 2 });
  const served = (await scene.server.serving(4)).only(scene.doomed.ports);
  await served.stopReading();
  await scene.doomed.send("x".repeat(20));
  // The second one's client writes more than its peer's window takes.
  const full = scene.doomed.only([scene.doomed.ports[1]!]);
  await full.send("x".repeat(8_000_000));
  await eventually("a queue of the client's that stays", async () => {
    const line = (await netns.ss("src", `127.0.0.1:${full.ports[0]}`, "dport", "=", `:${DOOMED_PORT}`))[0]!;
    return Number(line.split(/\s+/)[2]) > 0;
  });
  const wait = ["--when-idle", "100ms", "--deadline", "300ms", "--leave-busy", "--json"];
  const server = await tcphup(["127.0.0.1", ...wait], { netns });
  const errorOf = (run: Run, port: number) =>
    run.json().connections.find(({ src, dst }) => src.port === port || dst.port === port)!.error;
  assertMatch(errorOf(server, scene.doomed.ports[0]!)!, /data waits to be read/);
  const client = await tcphup([scene.address, `${DOOMED_PORT}`, ...wait], { netns });
  assertMatch(errorOf(client, full.ports[0]!)!, /data is under way to the peer/);

  await full.assertUnended();
  await served.goOnReading();
  await tcphup([scene.address, `${DOOMED_PORT}`, "--when-idle", "100ms", "--json"], { netns, code: 0 });
  await full.assertEnded("EOF");
});

systemTest("what is busy and left keeps its own TCP_USER_TIMEOUT", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 1 });
  const args = ["--when-idle", "1h", "--deadline", "0", "--leave-busy", "--linger", "1234ms", "--json"];
  const run = await tcphup([scene.address, `${DOOMED_PORT}`, ...args], { netns, code: 3 });
  assertMatch(run.json().connections[0]!.error!, /less than 3600000 ms/);
  const list = await tcphup(["ls", scene.address, `${DOOMED_PORT}`, "--keepalive", "--json"], { netns });
  assertEquals(list.json().connections[0]!.keepalive!.user_timeout_ms, 0);
  await scene.assertUntouched();
});

for (const protocol of ["tcp", "mptcp"] as const) {
  systemTest(
    `idle ${protocol} connections are cut as any are`,
    protocol === "mptcp" ? ["MPTCP"] : [],
    async (netns) => {
      const scene = await Scene.make(netns, { protocol });
      await scene.doomed.assertAlive();
      const run = await tcphup([scene.address, `${DOOMED_PORT}`, "--when-idle", "50ms", "--json"], { netns, code: 0 });
      assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
      await scene.doomed.assertEnded("EOF");
      await scene.kept.assertAlive();
    },
  );
}

systemTest("an idle connection to a dead peer does not stay longer than --linger says", [], async (netns) => {
  await using other = await Namespace.create();
  const { stuck, kept } = await deadPeer(netns, other);
  const args = ["10.1.0.9", "--when-idle", "50ms", "--linger", "1000ms", "--verify", "--wait", "50", "--json"];
  const run = await tcphup(args, { netns, code: 0 });
  assertEquals(run.json().gone, 2);
  await stuck.assertEnded("EOF");
  await kept.assertAlive();
});

systemTest("what ends by itself while it is waited for is already gone", [], async (netns) => {
  const { client } = await makePool(netns);
  const waiting = ["127.0.0.2", "--when-idle", "1h", "--deadline", "1h"];
  const terminal = new Terminal(netns, [...TCPHUP, ...waiting]);
  await terminal.expect(" waiting, ");
  await client.end();
  const output = await terminal.end(0);
  assertMatch(output, /1 already gone/);
});

systemTest("cuts at idle moments keep to --rate", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 10 });
  const args = ["--when-idle", "20ms", "--rate", "10/s", "--jitter", "0", "--json"];
  const run = await tcphup([scene.address, `${DOOMED_PORT}`, ...args], { netns, code: 0 });
  assert(run.json().elapsed_ms >= 890, `${run.json().elapsed_ms} ms`);
  await scene.assertHungUp();
});

systemTest("idle moments of a pool in another namespace, chosen by its process", [], async (netns) => {
  await using other = await Namespace.create();
  const scene = await Scene.make(other);
  await scene.doomed.assertAlive();
  const where = ["--netns", other.name, "--pid", `${scene.client.pid}`, "--dport", `${DOOMED_PORT}`];
  const how = ["--when-idle", "50ms", "--rate", "20/s", "--destroy-after", "10", "--verify", "--json"];
  const run = await tcphup([...where, ...how], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  assertEquals(run.json().gone, 3);
  await scene.assertHungUp();
});
