// What the kernel does not come back from: a socket whose lock somebody holds, a process of which /proc cannot be read.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { JsonDocument, Row } from "../../src/cli/output/json.ts";
import { uniqueAddress } from "../harness/namespace.ts";
import { Peer } from "../harness/peer.ts";
import { commandLine, eventually } from "../harness/process.ts";
import { assertCountsAddUp, DOOMED_PORT, KEPT_PORT, makePool, Scene } from "../harness/scene.ts";
import { Stuck } from "../harness/stuck.ts";
import { withoutSyscall } from "../harness/syscalls.ts";
import { systemTest } from "../harness/system.ts";
import { assertExit, engineOf, Running, TCPHUP, tcphup } from "../harness/tcphup.ts";

/** The servers' address: with others, tests that look at the whole host would get stuck with these connections too. */
const ADDRESS = uniqueAddress();
const DOOMED = [ADDRESS, `${DOOMED_PORT}`];
const UNRESPONSIVE = /does not answer: blocked in the kernel/;

/** Fails unless those, and no others, are named as stuck. Returns them. */
function assertStuck(connections: readonly JsonDocument<Row>[], count: number): JsonDocument<Row>[] {
  const failed = connections.filter(({ outcome }) => outcome === "failed");
  assertEquals(failed.length, count);
  for (const { error } of failed) assertMatch(error!, UNRESPONSIVE);
  return failed;
}

for (const flags of [[], ["--destroy"], ["--when-idle=1ms", "--leave-busy"], ["--rate=50/s"]]) {
  systemTest(`one socket's lock is held: all others are dealt with (${flags})`, ["FUSE", "unshare"], async (netns) => {
    const scene = await Scene.make(netns, { address: ADDRESS });
    await using stuck = await Stuck.start(netns, "lock", ADDRESS, DOOMED_PORT);
    const later = await scene.client.connect(ADDRESS, DOOMED_PORT, { count: 3 });
    const run = await tcphup([...DOOMED, ...flags, "--json"], { netns, code: 1 });
    assertCountsAddUp(run);
    assertEquals(run.json().matched, 7);
    const connection = assertStuck(run.json().connections, 1)[0]!;
    assertEquals(connection.owners.map(({ pid }) => pid), stuck.pids);
    for (const pool of [scene.doomed, later]) await pool.assertEnded(flags[0] === "--destroy" ? "ECONNABORTED" : "EOF");
    await scene.kept.assertAlive();
  });
}

systemTest("keepalive is set on all but the connection that is stuck", ["FUSE", "unshare"], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS });
  await using _stuck = await Stuck.start(netns, "lock", ADDRESS, DOOMED_PORT);
  const later = await scene.client.connect(ADDRESS, DOOMED_PORT, { count: 3 });
  const run = await tcphup(["keepalive", ...DOOMED, "--json"], { netns, code: 1 });
  const { keepalive_set, connections } = run.json<{ keepalive_set: number; connections: Row[] }>();
  assertEquals(keepalive_set, 6);
  assertStuck(connections, 1);
  for (const connection of connections.filter(({ outcome }) => outcome === "keepalive-set")) {
    assert(!connection.before!.enabled && connection.after!.enabled);
  }
  for (const pool of [scene.doomed, later]) assert((await pool.keepalive()).every(({ enabled }) => enabled));
});

systemTest(
  "a pass over all sockets that meets a lock is given up, and keepalive set without",
  ["FUSE", "unshare"],
  async (netns) => {
    const scene = await Scene.make(netns, { address: ADDRESS });
    await using stuck = await Stuck.start(netns, "lock", ADDRESS, DOOMED_PORT);
    // What nobody holds is for a pass alone.
    const server = Peer.start(netns);
    await server.listen(ADDRESS, DOOMED_PORT + 1, { accept: false });
    await scene.client.connect(ADDRESS, DOOMED_PORT + 1);
    const run = await tcphup(["keepalive", "any", "--state", "established", "--json"], { netns, code: 1 });
    const { connections } = run.json();
    const failed = connections.filter(({ outcome }) => outcome === "failed");
    assertEquals(failed.map(({ owners }) => owners.map(({ pid }) => pid)), [stuck.pids]);
    assertEquals(connections.filter(({ outcome }) => outcome === "no-owner").length, 1);
    assertEquals(connections.filter(({ outcome }) => outcome === "keepalive-set").length, connections.length - 2);
    for (const pool of [scene.doomed, scene.kept]) assert((await pool.keepalive()).every(({ enabled }) => enabled));
  },
);

systemTest("a process that /proc hangs at is left out, and named", ["FUSE", "unshare"], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS });
  await using stuck = await Stuck.start(netns, "proc", ADDRESS, KEPT_PORT);
  const run = await tcphup([...DOOMED, "--json", "--no-bpf"], { netns, within: stuck.within, code: 0 });
  assertEquals(run.json().hung_up, 3);
  assertMatch(run.stderr, new RegExp(`^tcphup: pid ${stuck.pids[0]} does not answer: blocked in the kernel\n$`));
  await scene.assertHungUp();
});

systemTest("a connection whose holder cannot be looked for fails", ["FUSE", "unshare"], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS });
  await using stuck = await Stuck.start(netns, "proc", ADDRESS, DOOMED_PORT);
  const options = { netns, within: stuck.within };
  const run = await tcphup([...DOOMED, "--json"], { ...options, code: 1 });
  const { error } = assertStuck(run.json().connections, 1)[0]!;
  assertMatch(error!, new RegExp(`pid ${stuck.pids[0]} `));
  await scene.doomed.assertEnded("EOF");
  const list = await tcphup(["ls", ...DOOMED, "--json", "--no-bpf"], options);
  assertMatch(list.stderr, UNRESPONSIVE);
});

systemTest("many that are stuck hold up nobody else", ["FUSE", "unshare"], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS });
  await using _stuck = await Stuck.start(netns, "lock", ADDRESS, DOOMED_PORT, { count: 30 });
  const later = await scene.client.connect(ADDRESS, DOOMED_PORT, { count: 3 });
  const run = await tcphup([...DOOMED, "--json"], { netns, code: 1 });
  assertCountsAddUp(run);
  const failed = run.json().connections.filter(({ outcome }) => outcome === "failed");
  assertEquals(failed.length, 30);
  for (const { error } of failed) assertMatch(error!, /not answer/);
  for (const pool of [scene.doomed, later]) await pool.assertEnded("EOF");
});

systemTest("SIGTERM brings the report though it is stuck", ["FUSE", "unshare"], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS });
  await using _stuck = await Stuck.start(netns, "lock", ADDRESS, DOOMED_PORT);
  const running = new Running([...DOOMED, "--json"], { netns });
  await scene.doomed.ended();
  running.kill("SIGTERM");
  const run = await running.end();
  assertCountsAddUp(run);
  const { hung_up, interrupted } = run.json();
  assertEquals(hung_up, 3);
  // The one that is stuck is either given up when the signal comes, or before.
  assertExit(run, interrupted ? 130 : 1);
});

/** A run that takes its time, after its first cut. */
async function slowly(scene: Scene, flags: readonly string[] = []): Promise<Running> {
  const running = new Running([...DOOMED, "--rate=1/s", "--json", ...flags], { netns: scene.netns });
  await eventually("a cut", async () => (await scene.doomed.seen()).some(({ ends }) => ends.length > 0));
  return running;
}

systemTest("when tcphup is killed nothing goes on", [], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS, count: 20 });
  const running = await slowly(scene);
  const engine = await engineOf(running.pid);
  running.kill("SIGKILL");
  await running.end();
  await eventually("the engine's end", () => commandLine(engine).length === 0);
  const cut = (await scene.doomed.seen()).filter(({ ends }) => ends.length > 0).length;
  assert(cut < 20, `${cut}`);
});

systemTest("when the process that works is killed another one finishes, and tells all", [], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS });
  const running = await slowly(scene);
  Deno.kill(await engineOf(running.pid), "SIGKILL");
  const run = await running.end(0);
  assertMatch(run.stderr, /^tcphup: the process that does the work was killed by signal 9\n$/);
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await scene.assertHungUp();
});

systemTest("a seccomp filter that kills at bpf(2) costs a process, and no more", [], async (netns) => {
  const { pool } = await makePool(netns, { accept: false });
  const within = withoutSyscall("bpf", "KILL");
  // What is not accepted yet would be set with BPF.
  const run = await tcphup(["keepalive", "any", "--json"], { netns, within, code: 1 });
  assertMatch(run.stderr, /^tcphup: the process that does the work was killed by signal 31\n/);
  assertEquals(run.outcomes().sort(), ["keepalive-set", "no-owner"]);
  assert((await pool.keepalive()).every(({ enabled }) => enabled));
});

systemTest("what connects anew is left alone by the process that goes on too", [], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS });
  const running = await slowly(scene);
  const anew = await scene.client.connect(ADDRESS, DOOMED_PORT, { count: 3 });
  Deno.kill(await engineOf(running.pid), "SIGKILL");
  const run = await running.end();
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await anew.assertAlive();
});

systemTest("a signal that is sent to tcphup alone reaches the process that works", [], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS, count: 20 });
  const running = await slowly(scene);
  running.kill("SIGINT");
  const run = await running.end(130);
  assertEquals(run.json().matched, 20);
});

systemTest("who is stopped is not stuck", [], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS });
  const running = await slowly(scene);
  const engine = await engineOf(running.pid);
  Deno.kill(engine, "SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assertEquals(await engineOf(running.pid), engine);
  Deno.kill(engine, "SIGCONT");
  await running.end(0);
  await scene.assertHungUp();
});

systemTest("a process that works and was stopped answers a signal too", [], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS, count: 20 });
  const running = await slowly(scene);
  Deno.kill(await engineOf(running.pid), "SIGSTOP");
  running.kill("SIGINT");
  const run = await running.end(130);
  assertEquals(run.json().matched, 20);
});

for (
  const [what, within] of [
    ["a limit of file sizes", ["prlimit", "--fsize=0:0"]],
    ["a filter of system calls", withoutSyscall("memfd_create", "EPERM")],
  ] as const
) {
  systemTest(`where ${what} allows no second process tcphup does it alone`, [], async (netns) => {
    const scene = await Scene.make(netns, { address: ADDRESS });
    await tcphup([...DOOMED, "--json"], { netns, within, code: 0 });
    await scene.assertHungUp();
  });
}

systemTest("a signal ends a command whose report nobody reads", ["bash"], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS, count: 1500 });
  // A reader that only holds the other end of the pipe open.
  const script =
    `exec 3> >(exec sleep 60); reader=$!; "$@" >&3 & sleep 3; kill -INT $! && wait $!; echo "exit $?"; kill $reader`;
  const run = await tcphup([...DOOMED, "--json"], { netns, command: ["bash", "-mc", script, "bash", ...TCPHUP] });
  assertMatch(run.stdout, /^exit (?:0|130)$/m);
  await scene.doomed.assertEnded("EOF");
});

systemTest("who does not read what it says does not make it stuck", ["bash"], async (netns) => {
  const scene = await Scene.make(netns, { address: ADDRESS, count: 400 });
  const script = `"$@" | { sleep 3; wc -l; }`;
  const run = await tcphup([...DOOMED], { netns, command: ["bash", "-c", script, "bash", ...TCPHUP] });
  assertEquals(run.stdout.trim(), "402");
  await scene.doomed.assertEnded("EOF");
});
