// The effects of hanging up: on the application, on the peer, and on the sockets that remain.

import { assert, assertEquals } from "@std/assert";
import { Namespace } from "../harness/namespace.ts";
import { Peer } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertCountsAddUp, deadPeer, DOOMED_PORT, makePool, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { engineOf, Running, TCPHUP, tcphup } from "../harness/tcphup.ts";

async function assertGone(netns: Namespace, ...filter: string[]): Promise<void> {
  await eventually(
    "the connections are gone",
    async () => (await netns.ss("state", "connected", ...filter)).length === 0,
  );
}

systemTest("both sides see end-of-file, writing fails with EPIPE, no RST is sent", [], async (netns) => {
  const scene = await Scene.make(netns);
  await scene.doomed.assertAlive();
  const served = (await scene.server.serving(6)).only(scene.doomed.ports);
  await tcphup(["127.0.0.2", `${DOOMED_PORT}`], { netns, code: 0 });
  await scene.assertHungUp();
  assertEquals(await scene.doomed.send("too late"), ["EPIPE", "EPIPE", "EPIPE"]);
  await served.assertEnded("EOF");
  assertEquals(await netns.resetsSent(), 0);
});

systemTest("what had arrived is read before end-of-file", [], async (netns) => {
  const scene = await Scene.make(netns);
  await scene.doomed.assertAlive();
  await scene.doomed.stopReading();
  await scene.doomed.send("12345");
  await eventually("data waits to be read", async () => {
    const lines = await netns.ss("state", "established", "dst", "127.0.0.2", "dport", "=", `:${DOOMED_PORT}`);
    return lines.length === 3 && lines.every((line) => line.startsWith("5 "));
  });
  await tcphup(["127.0.0.2", `${DOOMED_PORT}`], { netns, code: 0 });
  await scene.doomed.goOnReading();
  await scene.assertHungUp();
  assertEquals(await scene.doomed.seen(), Array(3).fill({ received: 4 + 5, ends: ["EOF"] }));
});

systemTest("what was sent arrives before the FIN", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 1 });
  await scene.doomed.assertAlive();
  const served = (await scene.server.serving(2)).only(scene.doomed.ports);
  await served.stopReading();
  const text = "x".repeat(50_000);
  assertEquals(await scene.doomed.send(text), [null]);
  await tcphup(["127.0.0.2", `${DOOMED_PORT}`], { netns, code: 0 });
  await scene.doomed.assertEnded("EOF");
  await served.goOnReading();
  await served.assertEnded("EOF");
  assertEquals(await served.seen(), [{ received: 4 + text.length, ends: ["EOF"] }]);
});

systemTest("a connection that was hung up on already is already gone", [], async (netns) => {
  const { pool: doomed } = await makePool(netns, { accept: false });
  const first = await tcphup(["127.0.0.2", "--json"], { netns });
  assertEquals(first.outcomes(), ["hung-up"]);
  await doomed.assertEnded("EOF");
  const second = await tcphup(["127.0.0.2", "--json"], { netns, code: 0 });
  assertEquals(second.outcomes(), ["already-gone"]);
  assertCountsAddUp(second);
});

systemTest("two tcphups at once get along", [], async (netns) => {
  const scene = await Scene.make(netns, { count: 200 });
  const hup = () => tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  for (const run of await Promise.all([hup(), hup()])) {
    assertCountsAddUp(run);
    assertEquals(run.json().failed, 0);
  }
  await scene.assertHungUp();
});

systemTest("--linger: a FIN that a dead peer does not acknowledge goes away by itself", [], async (netns) => {
  await using other = await Namespace.create();
  const { stuck, kept } = await deadPeer(netns, other);
  const run = await tcphup(["10.1.0.9", "--linger", "1000ms", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up"]);
  await stuck.assertEnded("EOF");
  // Without TCP_USER_TIMEOUT this would take two minutes and more.
  await assertGone(netns, "dst", "10.1.0.9");
  await kept.assertAlive();
});

systemTest("--linger: data that a dead peer does not acknowledge goes away with the FIN", [], async (netns) => {
  await using other = await Namespace.create();
  const { stuck } = await deadPeer(netns, other);
  await stuck.send("into the void");
  await tcphup(["10.1.0.9", "--linger=500ms"], { netns, code: 0 });
  await assertGone(netns, "dst", "10.1.0.9");
});

systemTest("--wait: reports what lingers", [], async (netns) => {
  await using other = await Namespace.create();
  const { stuck, kept } = await deadPeer(netns, other);
  const lingering = await tcphup(["10.1.0.9", "--wait", "1", "--linger", "20000ms", "--json"], { netns, code: 1 });
  assertEquals(lingering.outcomes(), ["lingering", "lingering"]);
  assertCountsAddUp(lingering);
  await stuck.assertEnded("EOF");
  await kept.assertAlive();
});

systemTest("--wait: ends as soon as everything is gone", [], async (netns) => {
  await using other = await Namespace.create();
  const { kept } = await deadPeer(netns, other);
  const run = await tcphup(["10.1.0.9", "--wait", "50", "--linger", "500ms", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up"]);
  assertEquals(await netns.ss("state", "connected", "dst", "10.1.0.9"), []);
  await kept.assertAlive();
});

systemTest("--dry-run shows the same connections and touches nothing", [], async (netns) => {
  const scene = await Scene.make(netns);
  const dry = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--dry-run", "--json"], { netns, code: 0 });
  assertEquals(dry.json().dry_run, true);
  assertEquals(dry.outcomes(), ["would-hang-up", "would-hang-up", "would-hang-up"]);
  assertEquals(dry.json().hung_up, 0);
  const dryDestroy = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--dry-run", "--destroy", "--json"], {
    netns,
    code: 0,
  });
  assertEquals(dryDestroy.outcomes(), ["would-destroy", "would-destroy", "would-destroy"]);
  await scene.assertUntouched();

  const wet = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns });
  const cookies = (run: typeof wet) => run.json().connections.map(({ cookie }) => cookie).sort();
  assertEquals(cookies(dry), cookies(wet));
});

systemTest("ls touches nothing", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await tcphup(["ls", "127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  assertEquals(run.json().command, "ls");
  assertEquals(run.outcomes(), [null, null, null]);
  await scene.assertUntouched();
});

systemTest("SIGINT while waiting: exit 130, with the summary so far", [], async (netns) => {
  await using other = await Namespace.create();
  const { stuck, kept } = await deadPeer(netns, other);
  const running = new Running(["10.1.0.9", "--wait", "300", "--linger", "300000ms", "--json"], { netns });
  await stuck.assertEnded("EOF");
  running.kill("SIGINT");
  const run = await running.end(130);
  assertEquals(run.json().matched, 2);
  assertCountsAddUp(run);
  await kept.assertAlive();
});

systemTest("SIGINT while hanging up: what the report says is what was done", ["strace"], async (netns) => {
  const { pool: many } = await makePool(netns, { count: 8000 });
  const ended = async () => (await many.seen()).filter(({ ends }) => ends.length > 0).length;
  // So slow that it is not through by then.
  const slowed = [
    "strace",
    "--daemonize",
    "-qqq",
    "--follow-forks",
    "--output=/dev/null",
    "--inject=shutdown:delay_enter=2ms",
  ];
  const running = new Running(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, command: [...slowed, ...TCPHUP] });
  await eventually("the first has ended", async () => await ended() > 0);
  running.kill("SIGINT");
  const run = await running.end(130);
  assertEquals(run.json().matched, 8000);
  assertCountsAddUp(run);
  const { hung_up } = run.json();
  assert(hung_up < 8000, "it was through");
  await eventually(`${hung_up} have ended`, async () => await ended() === hung_up);
});

/** The nice value of a process's first thread, and the lowest one of them all. */
async function nicesOf(pid: number): Promise<[first: number, lowest: number]> {
  const nices = new Map<string, number>();
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const stat = await Deno.readTextFile(`/proc/${pid}/task/${name}/stat`);
    nices.set(name, Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]));
  }
  return [nices.get(`${pid}`)!, Math.min(...nices.values())];
}

systemTest("a hang-up goes before the programs that it wakes, until it waits, if it may", [], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("127.0.0.3", DOOMED_PORT, { accept: false });
  const client = Peer.start(netns);
  /** Fails unless this is the nice value that its engine begins with. */
  const assertBegins = async (
    nice: number,
    { args = [], start = [], without }: { args?: string[]; start?: string[]; without?: string[] } = {},
  ) => {
    const pool = await client.connect("127.0.0.3", DOOMED_PORT);
    const command = [...start, ...TCPHUP];
    const running = new Running(["127.0.0.3", "--wait", "60", ...args], { netns, without, command });
    await pool.ended();
    const engine = await engineOf(running.pid);
    await eventually("it takes its time", async () => (await nicesOf(engine))[0] === Math.max(nice, own));
    // What began before has what the engine had then.
    assertEquals((await nicesOf(engine))[1], nice);
    assertEquals((await nicesOf(running.pid))[0], nice);
    running.kill("SIGINT");
    await running.end();
  };
  const [own] = await nicesOf(Deno.pid);
  const mayHurry = own === 0 && (await netns.run(["nice", "-n", "-10", "nice"])).stdout === "-10\n";
  await assertBegins(mayHurry ? -10 : own);
  await assertBegins(mayHurry ? -10 : own, { args: ["--rate", "1/s"] });
  await assertBegins(own + 5, { start: ["nice", "-n", "5"] });
  await assertBegins(own, { without: ["sys_nice"] });
});
