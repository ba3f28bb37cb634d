// Aborting, only when asked: --destroy and --destroy-after, by SOCK_DESTROY or through the owner's descriptor.

import { assertEquals, assertMatch } from "@std/assert";
import type { Finding } from "../../src/doctor/check_host.ts";
import { Namespace } from "../harness/namespace.ts";
import { type Connections, Peer } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertCountsAddUp, assertOneLine, DOOMED_PORT, makePool, Scene, withFarServer } from "../harness/scene.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { assertExit, PublicCopy, type Run, Running, tcphup } from "../harness/tcphup.ts";

/** The results of an application's next read after SOCK_DESTROY, and after connect(2) with AF_UNSPEC. */
const SOCK_DESTROY = "ECONNABORTED";
const AF_UNSPEC = "ECONNRESET";

const sockets: [string, string, Need[]][] = [
  ["IPv4", "127.0.0.2", []],
  ["IPv6", "::1", ["IPv6"]],
  ["v4-mapped", "::ffff:127.0.0.2", ["IPv6"]],
];

for (const [kind, address, needs] of sockets) {
  systemTest(`--destroy: ${kind} sockets, with SOCK_DESTROY`, needs, async (netns) => {
    const scene = await Scene.make(netns, { address });
    const served = (await scene.server.serving(6)).only(scene.doomed.ports);
    const run = await tcphup([address, `${DOOMED_PORT}`, "--destroy", "--json"], { netns, code: 0 });
    assertEquals(run.outcomes(), ["destroyed", "destroyed", "destroyed"]);
    assertEquals(run.json().destroyed, 3);
    assertCountsAddUp(run);
    await scene.doomed.assertEnded(SOCK_DESTROY);
    await served.assertEnded("ECONNRESET");
    assertEquals(await netns.resetsSent(), 3);
    assertEquals(await netns.connectionsReset(), 6, "both ends of three");
    await scene.kept.assertAlive();
  });

  systemTest(`--destroy: ${kind} sockets, without CAP_NET_ADMIN`, ["setpriv", ...needs], async (netns) => {
    const scene = await Scene.make(netns, { address });
    const served = (await scene.server.serving(6)).only(scene.doomed.ports);
    const args = [address, `${DOOMED_PORT}`, "--destroy", "--json"];
    const run = await tcphup(args, { netns, without: ["net_admin"], code: 0 });
    assertEquals(run.outcomes(), ["destroyed", "destroyed", "destroyed"]);
    await scene.doomed.assertEnded(AF_UNSPEC);
    await served.assertEnded("ECONNRESET");
    await scene.kept.assertAlive();
  });

  systemTest(`--destroy: ${kind} sockets of an unprivileged user's own`, ["setpriv", ...needs], async (netns) => {
    await using copy = await PublicCopy.make();
    const scene = await Scene.make(netns, { address, user: 65534 });
    const served = (await scene.server.serving(6)).only(scene.doomed.ports);
    const args = [address, `${DOOMED_PORT}`, "--destroy", "--json"];
    const run = await tcphup(args, { netns, user: 65534, ...copy, code: 0 });
    assertEquals(run.outcomes(), ["destroyed", "destroyed", "destroyed"]);
    await scene.doomed.assertEnded(AF_UNSPEC);
    await served.assertEnded("ECONNRESET");
    await scene.kept.assertAlive();
  });
}

systemTest("--destroy: MPTCP, which SOCK_DESTROY cannot abort", ["MPTCP"], async (netns) => {
  const scene = await Scene.make(netns, { protocol: "mptcp" });
  const served = (await scene.server.serving(6)).only(scene.doomed.ports);
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--destroy", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["destroyed", "destroyed", "destroyed"]);
  assertCountsAddUp(run);
  await scene.doomed.ended();
  assertEquals(await scene.doomed.send("too late"), ["EPIPE", "EPIPE", "EPIPE"]);
  await served.assertEnded("ECONNRESET");
  await scene.kept.assertAlive();
});

systemTest("--destroy: a connection that nobody has accepted yet", [], async (netns) => {
  const { client, pool: waiting } = await makePool(netns, { accept: false, source: "127.0.0.9" });
  const other = await client.connect("127.0.0.2", DOOMED_PORT, { source: "127.0.0.8" });
  const run = await tcphup(["127.0.0.9", "--destroy", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["destroyed"]);
  await waiting.assertEnded("ECONNRESET");
  await other.assertUnended();
  assertEquals((await netns.ss("-l")).length, 1, "the listener is still there");
});

/** The fate of an orphan under SOCK_DESTROY, as `tcphup doctor` finds it. */
async function fateOfOrphans(netns: Namespace): Promise<"destroyed" | "unsupported"> {
  const { findings } = (await tcphup(["doctor", "--json"], { netns })).json<{ findings: Finding[] }>();
  const tried = findings.find(({ name }) => name === "SOCK_DESTROY: destroy what a program has closed");
  return tried?.status === "ok" ? "destroyed" : "unsupported";
}

systemTest("--destroy: what a process that is gone has left behind", [], async (netns) => {
  await using other = await Namespace.create();
  const client = await withFarServer(netns, other);
  await (await client.connect("10.1.0.9", DOOMED_PORT)).assertAlive();
  await netns.silence("10.1.0.9", other);
  await client.end();
  assertEquals((await netns.ss("state", "fin-wait-1")).length, 1);
  const fate = await fateOfOrphans(netns);
  const run = await tcphup(["10.1.0.9", "--destroy", "--json"], { netns, code: fate === "destroyed" ? 0 : 4 });
  assertEquals(run.json().connections.map(({ state, outcome }) => ({ state, outcome })), [
    { state: "FIN-WAIT-1", outcome: fate },
  ]);
  const left = await netns.ss("-o", "dst", "10.1.0.9");
  if (fate === "destroyed") assertEquals(left, []);
  else assertMatch(left.join("\n"), /^FIN-WAIT-1 .* timer:\(on,/, "the timer that will end it");
});

systemTest("--destroy: a connection whose handshake is not over (SYN-RECV)", [], async (netns) => {
  await using other = await Namespace.create();
  await netns.link(other, ["10.1.0.1/24"], ["10.1.0.2/24"]);
  const server = Peer.start(netns);
  await server.listen("10.1.0.1", DOOMED_PORT);
  // The server's answers go to nobody.
  await netns.exec("ip", "neighbour", "replace", "10.1.0.2", "lladdr", "02:00:00:00:00:01", "dev", "veth");
  await Peer.start(other).beginConnect("10.1.0.1", DOOMED_PORT);
  await eventually("SYN-RECV", async () => (await netns.ss("state", "syn-recv")).length === 1);
  const hangUp = await tcphup(["10.1.0.2", "--json"], { netns, code: 1 });
  assertEquals(hangUp.json().connections.map(({ state, outcome }) => ({ state, outcome })), [
    { state: "SYN-RECV", outcome: "no-owner" },
  ]);
  const destroy = await tcphup(["10.1.0.2", "--destroy", "--json"], { netns, code: 0 });
  assertEquals(destroy.outcomes(), ["destroyed"]);
  assertEquals((await netns.ss("-l")).length, 1, "the listener is still there");
});

for (const without of [[], ["net_admin"]]) {
  const how = without.length > 0 ? ", without CAP_NET_ADMIN" : "";
  systemTest(`--destroy-after: aborts what a dead peer holds up${how}`, ["setpriv"], async (netns) => {
    await using other = await Namespace.create();
    const client = await withFarServer(netns, other);
    const stuck = await client.connect("10.1.0.9", DOOMED_PORT, { count: 2 });
    const healthy = await client.connect("10.1.0.2", DOOMED_PORT, { count: 2 });
    await netns.silence("10.1.0.9", other);

    const args = ["10.1.0.0/24", "--destroy-after", "1", "--linger", "60000ms", "--json"];
    const run = await tcphup(args, { netns, without, code: 0 });
    assertCountsAddUp(run);
    const outcomeOf = new Map(run.json().connections.map(({ src, outcome }) => [src.port, outcome]));
    assertEquals(stuck.ports.map((port) => outcomeOf.get(port)), ["destroyed", "destroyed"]);
    assertEquals(healthy.ports.map((port) => outcomeOf.get(port)), ["hung-up", "hung-up"]);
    await stuck.assertEnded("EOF");
    await healthy.assertEnded("EOF");
    assertEquals(await netns.ss("state", "connected", "exclude", "time-wait"), []);
  });
}

/** Hangs up on connections that a dead peer holds up, and lets `meanwhile` happen before they are aborted. */
async function hangUpOnDead(
  netns: Namespace,
  without: readonly string[],
  meanwhile: (client: Peer, stuck: Connections) => Promise<unknown>,
): Promise<Run> {
  await using other = await Namespace.create();
  await netns.link(other, ["10.1.0.1/24"], ["10.1.0.9/24"]);
  await Peer.start(other).listen("0.0.0.0", DOOMED_PORT);
  const client = Peer.start(netns);
  const stuck = await client.connect("10.1.0.9", DOOMED_PORT, { count: 2 });
  await netns.silence("10.1.0.9", other);
  const running = new Running(["10.1.0.9", "--destroy-after", "3s", "--linger", "60s", "--json"], { netns, without });
  await stuck.assertEnded("EOF");
  await meanwhile(client, stuck);
  return await running.end();
}

/** Has the application close its connections, and waits until nobody holds them, tcphup neither. */
async function closeForGood(netns: Namespace, stuck: Connections): Promise<void> {
  await stuck.close();
  await eventually("nobody holds them", async () => {
    const lines = await netns.ss("-e", "state", "connected", "dst", "10.1.0.9");
    return lines.length === 2 && lines.every((line) => line.includes(" ino:0 "));
  });
}

systemTest("--destroy-after: what its program closes meanwhile is held by nobody, and aborted", [], async (netns) => {
  const fate = await fateOfOrphans(netns);
  const run = await hangUpOnDead(netns, [], (_, stuck) => closeForGood(netns, stuck));
  assertEquals(run.outcomes(), [fate, fate]);
  if (fate === "destroyed") assertEquals([run.code, run.stderr], [0, ""]);
  else assertMatch(run.stderr, /can be destroyed only while an application holds them: .* for ever/);
});

systemTest(
  "--destroy-after, without CAP_NET_ADMIN: says beforehand what it will not do",
  ["setpriv"],
  async (netns) => {
    const run = await hangUpOnDead(netns, ["net_admin"], (_, stuck) => closeForGood(netns, stuck));
    assertOneLine(
      run,
      /^tcphup: connections can be destroyed only while an application holds them: .* CAP_NET_ADMIN$/m,
    );
    assertExit(run, 4);
    assertEquals(run.outcomes(), ["denied", "denied"]);
    for (const { error } of run.json().connections) assertMatch(error!, /CAP_NET_ADMIN, and no process holds it/);
  },
);

systemTest("--destroy-after, without CAP_NET_ADMIN: finds who has taken over", ["setpriv"], async (netns) => {
  const run = await hangUpOnDead(netns, ["net_admin"], async (client, stuck) => {
    await client.fork();
    await stuck.close();
  });
  assertEquals(run.outcomes(), ["destroyed", "destroyed"]);
  assertEquals(await netns.ss("state", "connected", "dst", "10.1.0.9"), []);
});

systemTest("--destroy-after: aborts what has no owner", [], async (netns) => {
  const { pool: waiting } = await makePool(netns, { accept: false, source: "127.0.0.9" });
  const run = await tcphup(["127.0.0.9", "--destroy-after", "0", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["destroyed"]);
  await waiting.assertEnded("ECONNRESET");
});

systemTest("no owner and no CAP_NET_ADMIN: it says what is missing", ["setpriv"], async (netns) => {
  const { pool: waiting } = await makePool(netns, { accept: false, source: "127.0.0.9" });
  const run = await tcphup(["127.0.0.9", "--destroy", "--json"], { netns, without: ["net_admin"], code: 4 });
  assertEquals(run.json().failed, 1);
  assertEquals(run.json().connections.map(({ error }) => /CAP_NET_ADMIN/.test(error!)), [true]);
  await waiting.assertUnended();
});

systemTest("without --destroy nothing is ever aborted", [], async (netns) => {
  const scene = await Scene.make(netns);
  await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--wait", "5"], { netns, code: 0 });
  await scene.assertHungUp();
});
