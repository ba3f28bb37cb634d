// Escalation after a hang-up: --fin-only, --verify, and descriptors that run out.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Directory } from "../harness/directory.ts";
import { Namespace } from "../harness/namespace.ts";
import { PYTHON } from "../harness/needs.ts";
import { Peer } from "../harness/peer.ts";
import { eventually, outputOf, run } from "../harness/process.ts";
import { assertCountsAddUp, deadPeer, DOOMED_PORT, makePool, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { engineOf, Running, TCPHUP, tcphup } from "../harness/tcphup.ts";

const STUBBORN_PORT = DOOMED_PORT + 1;

const SIZE = 20_000_000;

/**
 * Downloads a file from Python's own HTTP server, which takes a half-closed connection for what it is (nginx would think
 * that the client has gone). Its result is what curl says of it, which is stopped while the connection is cut, so that the
 * download is not over before.
 */
async function download(netns: Namespace, cut: () => Promise<unknown>): Promise<string> {
  using directory = new Directory();
  await Deno.writeFile(`${directory.path}/file`, new Uint8Array(SIZE));
  netns.spawn([PYTHON, "-m", "http.server", "80", "--bind", "127.0.0.3", "--directory", directory.path]);
  await eventually("it listens", async () => (await netns.ss("-l", "src", "127.0.0.3:80")).length > 0);
  const write = ["--output", "/dev/null", "--write-out", "%{size_download}"];
  const command = ["curl", "--silent", "--limit-rate", "7M", ...write, "http://127.0.0.3/file"];
  const curl = netns.spawn(command);
  await eventually("data arrives", async () => {
    const [line = ""] = await netns.ss("-i", "state", "established", "dst", "127.0.0.3");
    return Number(/bytes_received:(\d+)/.exec(line)?.[1] ?? 0) > 100_000;
  });
  curl.kill("SIGSTOP");
  await cut();
  curl.kill("SIGCONT");
  const { code, stdout } = await outputOf(curl, command);
  return `exit ${code}, ${stdout} bytes`;
}

systemTest("--fin-only: a download goes on to its end", ["curl"], async (netns) => {
  const whole = await download(netns, async () => {
    const run = await tcphup(["127.0.0.3", "--fin-only", "--json"], { netns, code: 0 });
    assertEquals(run.outcomes(), ["hung-up"]);
    const again = await tcphup(["127.0.0.3", "--fin-only", "--json"], { netns });
    assertEquals(again.outcomes(), ["already-gone"]);
  });
  assertEquals(whole, `exit 0, ${SIZE} bytes`);
  assertEquals(await netns.resetsSent(), 0);
});

systemTest("the same download without --fin-only breaks off", ["curl"], async (netns) => {
  const part = await download(netns, () => tcphup(["127.0.0.3"], { netns, code: 0 }));
  assertMatch(part, /^exit (18|56), \d+ bytes$/);
});

systemTest("--fin-only, then a hang-up: the application need not wait for the peer any longer", [], async (netns) => {
  const { pool } = await makePool(netns, { accept: false, count: 2 });
  assertEquals((await tcphup(["127.0.0.2", "--fin-only", "--json"], { netns })).outcomes(), ["hung-up", "hung-up"]);
  assertEquals(await pool.send("x"), ["EPIPE", "EPIPE"]);
  await pool.assertUnended();
  const again = await tcphup(["127.0.0.2", "--json"], { netns, code: 0 });
  assertEquals(again.outcomes(), ["already-gone", "already-gone"]);
  assertEquals(again.json().hung_up, 0);
  for (const { error } of again.json().connections) {
    assertEquals(error, "already hung up: in FIN-WAIT-2; only destroying it ends it");
  }
  await pool.assertEnded("EOF");
  const destroyed = await tcphup(["any", "--state", "fin-wait-2", "--destroy", "--verify", "--json"], {
    netns,
    code: 0,
  });
  assertEquals(destroyed.outcomes(), ["destroyed", "destroyed"]);
});

systemTest("--verify: all are gone", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--verify"], { netns, code: 0 });
  assertMatch(run.stdout, /\nhung up on 3 connections; all gone\n$/);
  assertEquals(await netns.ss("state", "connected", "exclude", "time-wait", "dport", "=", `:${DOOMED_PORT}`), []);
  await scene.assertHungUp();
});

systemTest("--verify: what lingers is named, exit 1", [], async (netns) => {
  const scene = await Scene.make(netns);
  const server = Peer.start(netns);
  await server.listen("127.0.0.3", STUBBORN_PORT, { accept: false });
  // The peer never closes its end.
  const stubborn = await scene.client.connect("127.0.0.3", STUBBORN_PORT);
  const run = await tcphup(["any", `${DOOMED_PORT}-${STUBBORN_PORT}`, "--verify", "--wait", "500ms", "--json"], {
    netns,
    code: 1,
  });
  assertCountsAddUp(run);
  const { hung_up, failed, gone, connections } = run.json();
  assertEquals([hung_up, failed, gone], [3, 1, 3]);
  const lingering = connections.filter(({ outcome }) => outcome === "lingering")[0]!;
  assertEquals(lingering.src.port, stubborn.ports[0]);
  assertEquals(lingering.error, "still there after 0.5 s, in FIN-WAIT-2; only destroying it ends it");
  await scene.assertHungUp();
});

systemTest("--verify waits as long as --linger may take, and a second", [], async (netns) => {
  await using other = await Namespace.create();
  const { kept } = await deadPeer(netns, other);
  const run = await tcphup(["10.1.0.9", "--verify", "--linger", "1000ms", "--json"], { netns, code: 0 });
  assertEquals(run.json().gone, 2);
  assertEquals(run.outcomes(), ["hung-up", "hung-up"]);
  await kept.assertAlive();
});

for (const flags of [["--verify", "--linger", "1s"], ["--wait", "3", "--linger", "1s"], ["--destroy-after", "300ms"]]) {
  systemTest(`an application that reads late reads end-of-file, not an error: ${flags[0]}`, [], async (netns) => {
    await using other = await Namespace.create();
    const { stuck } = await deadPeer(netns, other);
    await stuck.stopReading();
    await tcphup(["10.1.0.9", ...flags], { netns, code: 0 });
    assertEquals(await netns.ss("state", "connected", "dst", "10.1.0.9"), []);
    await stuck.goOnReading();
    await stuck.assertEnded("EOF");
  });
}

systemTest("with --fin-only, an application that waits for its answer is told that none comes", [], async (netns) => {
  await using other = await Namespace.create();
  const { stuck } = await deadPeer(netns, other);
  await stuck.stopReading();
  await tcphup(["10.1.0.9", "--fin-only", "--verify", "--linger", "1s"], { netns, code: 0 });
  await stuck.goOnReading();
  await stuck.assertEnded("ETIMEDOUT");
});

systemTest("--destroy-after and --verify: what lingered is destroyed, and gone", [], async (netns) => {
  await makePool(netns, { accept: false, count: 2 });
  const run = await tcphup(["127.0.0.2", "--destroy-after", "200ms", "--verify", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["destroyed", "destroyed"]);
  assertEquals(run.json().gone, 2);
});

systemTest("--destroy-after: more connections than descriptors", [], async (netns) => {
  const { pool } = await makePool(netns, { accept: false, count: 300 });
  const command = ["prlimit", "--nofile=200:200", ...TCPHUP];
  const run = await tcphup(["127.0.0.2", "--destroy-after", "200ms", "--json"], { netns, command, code: 0 });
  assertEquals(run.json().destroyed, 300);
  await pool.ended();
  assertEquals(await netns.ss("state", "connected", "dst", "127.0.0.2"), []);
});

systemTest("many namespaces and few descriptors: enough are left to look again", ["unshare"], async (netns) => {
  const namespaces = new URL("../../scripts/bench/namespaces.py", import.meta.url).pathname;
  const script = `mkdir -p /run/netns && mount -t tmpfs none /run/netns && mount -t tmpfs none /mnt
    sleep infinity | ${PYTHON} ${namespaces} 80 1 2 >/mnt/ready &
    until [ -s /mnt/ready ]; do sleep 0.1; done
    exec prlimit --nofile=100:100 "$@"`;
  // What it starts is in a PID namespace of its own, and ends with that.
  const within = ["unshare", "--pid", "--fork", "--mount-proc", "--mount", "--kill-child", "sh", "-c", script, "sh"];
  const run = await tcphup(["any", "7000", "--netns", "all", "--destroy-after", "200ms", "--json"], {
    netns,
    within,
    code: 0,
  });
  // The listeners never close what their clients have hung up on.
  assertEquals([run.json().destroyed, run.json().error], [80, null]);
});

systemTest("what breaks half-way, and stays so, does not take away the report of what was done", [], async (netns) => {
  const { pool } = await makePool(netns, { count: 3, reconnect: true });
  const running = new Running(["127.0.0.2", "--for", "8s", "--every", "100ms", "--json"], { netns });
  await pool.ended();
  // From now on, and until its time is over, it can open nothing.
  await run(["prlimit", `--pid=${await engineOf(running.pid)}`, "--nofile=3:"]);
  const broken = await running.end(1);
  assertCountsAddUp(broken);
  const { hung_up, error } = broken.json();
  assert(hung_up >= 3, `${hung_up}`);
  assertMatch(error!, /EMFILE/);
  await pool.assertAlive();
});
