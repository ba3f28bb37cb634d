// Selecting by how a connection has been: idle, stalled, left in CLOSE-WAIT, without keepalive, from an address that has
// moved away.

import { assertEquals } from "@std/assert";
import { Namespace } from "../harness/namespace.ts";
import { type Connections, Peer } from "../harness/peer.ts";
import { eventually, run } from "../harness/process.ts";
import { assertOneLine, makePool, Scene } from "../harness/scene.ts";
import { assertSelects, selected } from "../harness/selected.ts";
import { systemTest } from "../harness/system.ts";
import { tcphup } from "../harness/tcphup.ts";

/** Waits until a selection selects just these local ports. */
async function eventuallySelects(netns: Namespace, selection: string[], ports: readonly number[]): Promise<void> {
  const expected = JSON.stringify([...ports].sort());
  await eventually(`tcphup ls ${selection.join(" ")} selects ${ports.length}`, async () => {
    const found = await selected(netns, selection);
    return JSON.stringify(found.map(({ src }) => src.port).sort()) === expected;
  });
}

/** Has data go back and forth on connections until it is told to stop. */
async function whileBusy(connections: Connections, body: () => Promise<void>): Promise<void> {
  let over = false;
  const busy = (async () => {
    while (!over) {
      await connections.assertAlive();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  try {
    await body();
  } finally {
    over = true;
    await busy;
  }
}

systemTest("--idle-for: no data either way for so long", [], async (netns) => {
  const { doomed, kept } = await Scene.make(netns);
  const clients = ["--dst", "127.0.0.2"];
  await whileBusy(kept, async () => {
    // In this order, so that a slow machine cannot make the busy ones look idle: they are busy all the time.
    await eventuallySelects(netns, [...clients, "--idle-for", "2s"], doomed.ports);
    await assertSelects(netns, [...clients, "--not", "--idle-for", "2s"], kept.ports);
    await assertSelects(netns, [...clients, "--idle-for", "2000ms", "--idle-for", "1h"], doomed.ports);
    await assertSelects(netns, [...clients, "--idle-for", "1h"], []);
    const run = await tcphup([...clients, "--idle-for", "2s", "--json"], { netns, code: 0 });
    assertEquals(run.json().hung_up, 3);
    await doomed.assertEnded("EOF");
  });
  await kept.assertAlive();
});

systemTest("--idle-for: a connection that is still being opened is not idle", [], async (netns) => {
  await using far = await Namespace.create();
  await netns.link(far, ["10.0.0.1/24"], ["10.0.0.2/24"]);
  await netns.silence("10.0.0.2", far);
  const client = Peer.start(netns);
  const opening = await client.beginConnect("10.0.0.2", 8000);
  await assertSelects(netns, ["--dst", "10.0.0.2"], opening.ports);
  await assertSelects(netns, ["--dst", "10.0.0.2", "--idle-for", "1ms"], []);
  await assertSelects(netns, ["--dst", "10.0.0.2", "--not", "--idle-for", "1h"], []);
});

systemTest("--idle-for knows MPTCP connections", ["MPTCP"], async (netns) => {
  const { doomed, kept } = await Scene.make(netns, { protocol: "mptcp" });
  const clients = ["--dst", "127.0.0.2"];
  await whileBusy(kept, async () => {
    await eventuallySelects(netns, [...clients, "--idle-for", "2s", "--dport", "8000"], doomed.ports);
    const idle = await selected(netns, [...clients, "--idle-for", "2s"]);
    assertEquals(new Set(idle.map(({ protocol }) => protocol)), new Set(["mptcp"]));
    assertEquals(idle.map(({ src }) => src.port).sort(), [...doomed.ports].sort());
  });
});

/** Connections of a client to two addresses of another host, which goes silent at the first. */
async function silencedScene(netns: Namespace, far: Namespace) {
  await netns.link(far, ["10.0.0.1/24"], ["10.0.0.3/24", "10.0.0.2/24"]);
  await Peer.start(far).listen("0.0.0.0", 8000);
  const client = Peer.start(netns);
  const doomed = await client.connect("10.0.0.2", 8000, { count: 2 });
  const kept = await client.connect("10.0.0.3", 8000, { count: 2 });
  await netns.silence("10.0.0.2", far);
  return { client, doomed, kept };
}

systemTest("--silent-for: the peer was not heard, whatever was sent to it", [], async (netns) => {
  await using far = await Namespace.create();
  const { client, doomed, kept } = await silencedScene(netns, far);
  const silent = ["--dport", "8000", "--silent-for", "2500ms"];
  await whileBusy(kept, async () => {
    // While data is sent it is not idle, and before the first retransmission it is not stalled.
    await doomed.only(doomed.ports.slice(0, 1)).send("are you there?");
    const opening = await client.beginConnect("10.0.0.2", 8000);
    await eventuallySelects(netns, silent, doomed.ports);
    await assertSelects(netns, ["--dport", "8000", "--not", "--silent-for", "2500ms"], kept.ports);
    await assertSelects(netns, ["--dst", "10.0.0.2"], [...doomed.ports, ...opening.ports]);
    const run = await tcphup([...silent, "--json"], { netns, code: 0 });
    assertEquals(run.outcomes(), ["hung-up", "hung-up"]);
    const { silent_ms, tcp_info } = run.json().connections[0]!;
    assertEquals(silent_ms, Math.min(tcp_info!.last_ack_recv_ms, tcp_info!.last_data_recv_ms));
  });
});

systemTest("--silent-for: the answer to a keepalive probe is heard", [], async (netns) => {
  const { doomed, kept } = await Scene.make(netns);
  await kept.setKeepalive({ enabled: true, idle_s: 1, interval_s: 1 });
  await eventuallySelects(netns, ["--dst", "127.0.0.2", "--silent-for", "3s"], doomed.ports);
  await assertSelects(netns, ["--dst", "127.0.0.2", "--idle-for", "3s"], [...doomed.ports, ...kept.ports]);
});

systemTest("--silent-for knows MPTCP connections", ["MPTCP"], async (netns) => {
  const { doomed, kept } = await Scene.make(netns, { protocol: "mptcp" });
  await whileBusy(kept, async () => {
    await eventuallySelects(netns, ["--dst", "127.0.0.2", "--silent-for", "2s"], doomed.ports);
  });
});

systemTest("--stalled: data that a dead peer does not acknowledge, and a SYN", [], async (netns) => {
  await using far = await Namespace.create();
  const { client, doomed, kept } = await silencedScene(netns, far);
  await assertSelects(netns, ["--stalled"], []);
  await doomed.only(doomed.ports.slice(0, 1)).send("are you there?");
  await kept.assertAlive();
  // The one without data does not know yet that its peer has gone.
  await eventuallySelects(netns, ["--stalled"], doomed.ports.slice(0, 1));
  await assertSelects(netns, ["any", "--not", "--stalled"], [...doomed.ports.slice(1), ...kept.ports]);
  const opening = await client.beginConnect("10.0.0.2", 8000);
  await eventuallySelects(netns, ["--stalled"], [...doomed.ports.slice(0, 1), ...opening.ports]);
  const run = await tcphup(["--stalled", "--destroy", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["destroyed", "destroyed"]);
  await kept.assertAlive();
});

systemTest("--stalled: a peer that is alive but does not read is not stalled", [], async (netns) => {
  const { server, pool: slow } = await makePool(netns);
  const serving = await server.serving(1);
  await serving.stopReading();
  // More than the windows of both ends hold, so that the rest waits for room.
  for (let i = 0; i < 200; i++) await slow.send("x".repeat(60_000));
  const timer = async () => (await selected(netns, ["--dport", "8000"]))[0]!.timer;
  // Each probe comes twice as long after the last one, so that there is time to look.
  await eventually("probes are far apart", async () => {
    const { name, expires_ms = 0 } = await timer() ?? {};
    return name === "persist" && expires_ms > 2000;
  });
  await assertSelects(netns, ["--stalled"], []);
  // A peer leaves a probe unanswered when it has answered one shortly before.
  await netns.exec("sysctl", "-qw", "net.ipv4.tcp_invalid_ratelimit=600000");
  await eventually("a probe is under way", async () => (await timer())!.retransmits > 0);
  await assertSelects(netns, ["--stalled"], []);
  const { name, retransmits } = (await timer())!;
  assertEquals([name, retransmits], ["persist", 1], "all the while");
});

systemTest("--close-wait: the peer has ended it, the application has not noticed", [], async (netns) => {
  const { server, doomed, kept } = await Scene.make(netns);
  const serving = await server.serving(6);
  await serving.only(doomed.ports).close();
  await eventuallySelects(netns, ["--close-wait"], doomed.ports);
  await assertSelects(netns, ["--dst", "127.0.0.2", "--not", "--close-wait"], kept.ports);
  const run = await tcphup(["--close-wait", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await assertSelects(netns, ["--close-wait"], []);
  await kept.assertAlive();
});

systemTest("--no-keepalive asks the sockets themselves, where no timer tells", [], async (netns) => {
  const { doomed, kept, client } = await Scene.make(netns);
  await kept.setKeepalive({ enabled: true });
  const clients = ["--dst", "127.0.0.2"];
  await assertSelects(netns, [...clients, "--no-keepalive"], doomed.ports);
  await assertSelects(netns, [...clients, "--not", "--no-keepalive"], kept.ports);
  await assertSelects(netns, ["--pid", `${client.pid}`, "--no-keepalive"], doomed.ports);
  const run = await tcphup([...clients, "--no-keepalive", "--json"], { netns, code: 0 });
  assertEquals(run.json().hung_up, 3);
  await doomed.assertEnded("EOF");
  await kept.assertAlive();
});

systemTest("--no-keepalive while another timer runs than the one of keepalive", [], async (netns) => {
  await using far = await Namespace.create();
  await netns.link(far, ["10.0.0.1/24"], ["10.0.0.2/24"]);
  const server = Peer.start(far);
  await server.listen("10.0.0.2", 8000);
  const client = Peer.start(netns);
  const [off, on] = [await client.connect("10.0.0.2", 8000), await client.connect("10.0.0.2", 8000)];
  await on.setKeepalive({ enabled: true });
  await netns.silence("10.0.0.2", far);
  for (const connection of [off, on]) await connection.send("are you there?");
  const listed = await selected(netns, ["--dst", "10.0.0.2"]);
  assertEquals(listed.map(({ timer }) => timer?.name), ["on", "on"]);
  await assertSelects(netns, ["--dst", "10.0.0.2", "--no-keepalive"], off.ports);
  await assertSelects(netns, ["--dst", "10.0.0.2", "--not", "--no-keepalive"], on.ports);
});

systemTest("--no-keepalive: what cannot be asked is not selected, and that is said", ["setpriv"], async (netns) => {
  const scene = await Scene.make(netns, { user: 54_321 });
  const options = { netns, without: ["sys_ptrace"] };
  const run = await tcphup(["--dst", "127.0.0.2", "--no-keepalive", "--destroy", "--json", "--no-bpf"], {
    ...options,
    code: 1,
  });
  assertOneLine(run, /SO_KEEPALIVE of 6 connections could not be read: .*/);
  assertEquals(run.json().matched, 0);
  await scene.assertUntouched();
});

systemTest("--no-keepalive in a pass, which takes no right to duplicate", ["setpriv", "BTF"], async (netns) => {
  const { doomed, kept } = await Scene.make(netns, { user: 54_321 });
  await kept.setKeepalive({ enabled: true });
  const run = await tcphup(["ls", "--src", "127.0.0.1", "--no-keepalive", "--json"], {
    netns,
    without: ["sys_ptrace"],
  });
  assertEquals(run.json().connections.map(({ src }) => src.port).sort(), doomed.ports.toSorted());
});

systemTest("--src-gone: the address has moved away", [], async (netns) => {
  await using far = await Namespace.create();
  const [vip, host] = ["10.0.0.10", "10.0.0.1"];
  await netns.link(far, [`${host}/24`, `${vip}/24`, "fd00::10/64", "fd00::1/64"], ["10.0.0.2/24", "fd00::2/64"]);
  const server = Peer.start(far);
  await server.listen("::", 8000);
  const client = Peer.start(netns);
  const doomed = [
    await client.connect("10.0.0.2", 8000, { source: vip, count: 2 }),
    await client.connect("fd00::2", 8000, { source: "fd00::10" }),
  ].flatMap(({ ports }) => ports);
  const kept = [
    await client.connect("10.0.0.2", 8000, { source: host }),
    await client.connect("fd00::2", 8000, { source: "fd00::1" }),
  ];
  const { doomed: local } = await Scene.make(netns, { address: "127.8.9.10" });
  await assertSelects(netns, ["--src-gone"], []);
  await netns.exec("ip", "address", "del", `${vip}/24`, "dev", "veth");
  await netns.exec("ip", "address", "del", "fd00::10/64", "dev", "veth");
  await assertSelects(netns, ["--src-gone"], doomed);
  await assertSelects(netns, ["--dport", "8000", "--not", "--src-gone"], [
    ...kept.flatMap(({ ports }) => ports),
    ...local.ports,
  ]);
  // Seen from elsewhere it is the addresses there that count.
  await assertSelects(far, ["--src-gone", "--netns", netns.name, "--netns", far.name], doomed);
  const run = await tcphup(["--src-gone", "--json"], { netns, code: 0 });
  assertEquals(run.json().hung_up, 3);
  for (const connections of kept) await connections.assertAlive();
  await local.assertAlive();
});

systemTest("--src-gone: addresses that come and go all the time hide none that stay", [], async (netns) => {
  // So many that the kernel lists them in several pieces.
  const many = Array.from({ length: 3000 }, (_, i) => `address add 10.${1 + (i >> 8)}.${i & 255}.1/32 dev lo`);
  await run(netns.enter(["ip", "-batch", "-"]), { stdin: many.join("\n") });
  const server = Peer.start(netns);
  await server.listen("0.0.0.0", 8000);
  const client = Peer.start(netns);
  const stay = await client.connect("10.12.0.1", 8000, { source: "10.11.200.1", count: 3 });
  const coming = "address add 10.99.0.1/32 dev lo\naddress delete 10.99.0.1/32 dev lo";
  netns.spawn(["sh", "-c", 'yes "$1" | ip -batch -', "sh", coming]);
  for (let i = 0; i < 5; i++) {
    const { code, stdout, stderr } = await tcphup(["--src-gone", "--dry-run", "--json"], { netns });
    if (code === 0) assertEquals(JSON.parse(stdout).matched, 0);
    else assertEquals([code, stdout, stderr.includes("change faster than they can be read")], [4, "", true]);
  }
  await stay.assertAlive();
});

systemTest(
  "--src-gone: whole prefixes, other routing tables and transparent proxies are no ghosts",
  [],
  async (netns) => {
    await netns.exec("ip", "route", "add", "local", "10.77.0.0/16", "dev", "lo");
    await netns.exec("ip", "-6", "route", "add", "local", "fd77::/64", "dev", "lo");
    await netns.exec("sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1");
    const server = Peer.start(netns);
    await server.listen("::", 8000);
    const client = Peer.start(netns);
    const anywhere = [
      await client.connect("127.0.0.2", 8000, { source: "10.77.1.2" }),
      await client.connect("fd77::1", 8000, { source: "fd77::2" }),
    ].flatMap(({ ports }) => ports);
    const foreign = await client.connectTransparently("127.0.0.2", 8000, "10.99.0.1");
    await assertSelects(netns, ["--dport", "8000"], [...anywhere, ...foreign.ports]);
    await assertSelects(netns, ["--src-gone"], []);
    await netns.exec("ip", "route", "del", "local", "10.77.0.0/16", "dev", "lo");
    await assertSelects(netns, ["--src-gone", "--dport", "8000"], anywhere.slice(0, 1));
  },
);

systemTest("what is hung up on because of how it was is waited for whatever it is then", [], async (netns) => {
  const { doomed, server } = await Scene.make(netns);
  const serving = await server.serving(6);
  await serving.stopReading();
  const run = await tcphup(["--dport", "8000", "--state", "established", "--wait", "0.3", "--json"], {
    netns,
    code: 1,
  });
  assertEquals(run.outcomes(), ["lingering", "lingering", "lingering"]);
  await doomed.assertEnded("EOF");
  await serving.goOnReading();
});

systemTest("flags of different kinds and --not, over everything at once", [], async (netns) => {
  const { doomed, kept, client } = await Scene.make(netns);
  await doomed.only(doomed.ports.slice(0, 1)).setKeepalive({ enabled: true });
  const selection = ["-f", "dst 127.0.0.0/8 and not sport = :8000", "--pid", `${client.pid}`, "--state", "established"];
  await assertSelects(netns, [...selection, "--not", "--dport", "9000", "--no-keepalive"], doomed.ports.slice(1));
  await assertSelects(netns, [...selection, "--not", "--stalled", "--not", "--close-wait", "--not", "--src-gone"], [
    ...doomed.ports,
    ...kept.ports,
  ]);
});
