// Which connections tcphup takes: DEST and PORT in all their forms, on IPv4, IPv6, v4-mapped and MPTCP sockets.

import { assertEquals, assertMatch } from "@std/assert";
import { Namespace } from "../harness/namespace.ts";
import { type Connections, Peer } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertCountsAddUp, assertUsageError, DOOMED_PORT, KEPT_PORT, makePool, Scene } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { tcphup } from "../harness/tcphup.ts";

/** Local ports of the connections that `tcphup ls` lists, in order. */
async function listedPorts(netns: Namespace, ...args: string[]): Promise<number[]> {
  const run = await tcphup(["ls", ...args, "--json"], { netns, code: 0 });
  return run.json().connections.map(({ src }) => src.port).sort();
}

function portsOf(...connections: Connections[]): number[] {
  return connections.flatMap(({ ports }) => ports).sort();
}

systemTest("hup: an IPv4 address and a port", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  assertCountsAddUp(run);
  await scene.assertHungUp();
});

systemTest("hup is the default command", [], async (netns) => {
  const scene = await Scene.make(netns);
  await tcphup(["hup", "127.0.0.2", `${DOOMED_PORT}`], { netns, code: 0 });
  await scene.assertHungUp();
});

systemTest("hup: IPv6 in every spelling", ["IPv6"], async (netns) => {
  await netns.exec("ip", "address", "add", "2001:db8::a:0:5/128", "dev", "lo");
  const server = Peer.start(netns);
  await server.listen("::", DOOMED_PORT);
  await server.listen("::", KEPT_PORT);
  const client = Peer.start(netns);
  const kept = await client.connect("2001:db8::a:0:5", KEPT_PORT);
  const spellings = [
    "2001:db8::a:0:5",
    "2001:DB8::A:0:5",
    "2001:0db8:0000:0000:0000:000a:0000:0005",
    "2001:db8:0:0:0:a::5",
    "2001:db8::a:0.0.0.5",
    "[2001:db8::a:0:5]",
  ];
  for (const spelling of spellings) {
    const doomed = await client.connect("2001:db8::a:0:5", DOOMED_PORT);
    const run = await tcphup([spelling, `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
    const hungUp = run.json().connections.filter(({ outcome }) => outcome === "hung-up");
    assertEquals(hungUp.map(({ dst }) => dst.address), ["2001:db8::a:0:5"], spelling);
    await doomed.assertEnded("EOF");
  }
  await kept.assertAlive();
  assertEquals(await netns.resetsSent(), 0);
});

systemTest("hup: a v4-mapped socket is found by its IPv4 address", ["IPv6"], async (netns) => {
  const scene = await Scene.make(netns, { address: "::ffff:127.0.0.2" });
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  for (const { family, dst, outcome } of run.json().connections) {
    assertEquals({ family, dst, outcome }, {
      family: "inet6",
      dst: { address: "127.0.0.2", port: DOOMED_PORT },
      outcome: "hung-up",
    });
  }
  assertEquals(run.json().matched, 3);
  await scene.assertHungUp();
});

systemTest("ls: an IPv4 address may be written v4-mapped, whatever the socket's family", ["IPv6"], async (netns) => {
  const scene = await Scene.make(netns, { address: "::ffff:127.0.0.2" });
  const plain = await scene.client.connect("127.0.0.2", DOOMED_PORT);
  const ports = await listedPorts(netns, "::ffff:127.0.0.2", `${DOOMED_PORT}`);
  assertEquals(ports, portsOf(scene.doomed, plain));
});

systemTest("hup: MPTCP", ["MPTCP"], async (netns) => {
  const scene = await Scene.make(netns, { protocol: "mptcp" });
  const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  for (const { protocol, outcome } of run.json().connections) {
    assertEquals({ protocol, outcome }, { protocol: "mptcp", outcome: "hung-up" });
  }
  assertEquals(run.json().matched, 3, "one row for each connection, whatever its subflows");
  assertCountsAddUp(run);
  await scene.assertHungUp();
});

systemTest("hup: MPTCP connections that a server accepted", ["MPTCP"], async (netns) => {
  const { client, pool: doomed } = await makePool(netns, { protocol: "mptcp", count: 3, source: "127.0.0.3" });
  const kept = await client.connect("127.0.0.2", DOOMED_PORT, { count: 3, protocol: "mptcp", source: "127.0.0.4" });
  await doomed.assertAlive();
  const run = await tcphup(["127.0.0.3", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await doomed.assertEnded("EOF");
  await kept.assertAlive();
});

systemTest("hup: an MPTCP listener's plain TCP client", ["MPTCP"], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("127.0.0.2", DOOMED_PORT, { protocol: "mptcp" });
  const client = Peer.start(netns);
  const doomed = await client.connect("127.0.0.2", DOOMED_PORT, { count: 2 });
  await doomed.assertAlive();
  const run = await tcphup(["127.0.0.1", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up"]);
  await doomed.assertEnded("EOF");
});

systemTest("DEST: prefixes", ["IPv6"], async (netns) => {
  for (const address of ["2001:db8:1::1/128", "2001:db8:1::ffff/128", "2001:db8:2::1/128"]) {
    await netns.exec("ip", "address", "add", address, "dev", "lo");
  }
  const server = Peer.start(netns);
  await server.listen("::", DOOMED_PORT);
  const client = Peer.start(netns);
  const to = async (address: string) => await client.connect(address, DOOMED_PORT);
  const [low, high, far] = [await to("127.7.0.1"), await to("127.7.0.254"), await to("127.7.1.1")];
  const mapped = await to("::ffff:127.7.0.77");
  const [low6, high6, far6] = [await to("2001:db8:1::1"), await to("2001:db8:1::ffff"), await to("2001:db8:2::1")];
  const listed = async (dest: string) => await listedPorts(netns, dest, `${DOOMED_PORT}`);

  assertEquals(await listed("127.7.0.0/24"), portsOf(low, high, mapped));
  assertEquals(await listed("127.7.0.0/25"), portsOf(low, mapped));
  assertEquals(await listed("127.7.0.0/23"), portsOf(low, high, far, mapped));
  assertEquals(await listed("127.7.1.1/32"), portsOf(far));
  assertEquals(await listed("0.0.0.0/0"), portsOf(low, high, far, mapped));
  assertEquals(await listed("2001:db8:1::/48"), portsOf(low6, high6));
  assertEquals(await listed("2001:db8:1::/113"), portsOf(low6));
  assertEquals(await listed("2001:db8::/32"), portsOf(low6, high6, far6));

  await tcphup(["127.7.0.0/24", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  for (const connection of [low, high, mapped]) await connection.assertEnded("EOF");
  for (const connection of [far, low6, high6, far6]) await connection.assertAlive();
});

systemTest("DEST: the first 32 bits of an IPv6 address are no IPv4 address", ["IPv6"], async (netns) => {
  await netns.exec("ip", "address", "add", "2001:db8::1/128", "dev", "lo");
  const scene = await Scene.make(netns, { address: "2001:db8::1" });
  const run = await tcphup(["32.1.13.184", "0", "--json"], { netns, code: 0 });
  assertEquals(run.json().matched, 0);
  await scene.assertUntouched();
});

systemTest("DEST: a host name stands for all of its addresses", ["IPv6"], async (netns) => {
  await netns.hosts([
    "127.0.0.2 db.example",
    "127.0.0.3 db.example",
    "2001:db8::5 db.example",
    "127.0.0.4 web.example",
  ]);
  await netns.exec("ip", "address", "add", "2001:db8::5/128", "dev", "lo");
  const server = Peer.start(netns);
  await server.listen("::", DOOMED_PORT);
  const client = Peer.start(netns);
  const first = await client.connect("127.0.0.2", DOOMED_PORT);
  const second = await client.connect("127.0.0.3", DOOMED_PORT);
  const sixth = await client.connect("2001:db8::5", DOOMED_PORT);
  const other = await client.connect("127.0.0.4", DOOMED_PORT);

  assertEquals(await listedPorts(netns, "db.example", `${DOOMED_PORT}`, "-4"), portsOf(first, second));
  assertEquals(await listedPorts(netns, "db.example", `${DOOMED_PORT}`, "-6"), portsOf(sixth));
  assertEquals(await listedPorts(netns, "db.example", `${DOOMED_PORT}`), portsOf(first, second, sixth));
  const run = await tcphup(["db.example", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  assertEquals(run.json().hung_up, 3);
  for (const connection of [first, second, sixth]) await connection.assertEnded("EOF");
  await other.assertAlive();
});

systemTest("-4 and -6 choose by address, so -4 takes v4-mapped sockets", ["IPv6"], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("::", DOOMED_PORT);
  const client = Peer.start(netns);
  const plain = await client.connect("127.0.0.2", DOOMED_PORT);
  const mapped = await client.connect("::ffff:127.0.0.2", DOOMED_PORT);
  const six = await client.connect("::1", DOOMED_PORT);
  assertEquals(await listedPorts(netns, "any", `${DOOMED_PORT}`, "-4"), portsOf(plain, mapped));
  assertEquals(await listedPorts(netns, "any", `${DOOMED_PORT}`, "-6"), portsOf(six));
  assertEquals(await listedPorts(netns, "any", `${DOOMED_PORT}`), portsOf(plain, mapped, six));

  await tcphup(["-6", "any", `${DOOMED_PORT}`], { netns, code: 0 });
  await six.assertEnded("EOF");
  await plain.assertAlive();
  await mapped.assertAlive();
});

systemTest("PORT: numbers, ranges, service names, 0 and any", [], async (netns) => {
  const server = Peer.start(netns);
  const ports = [80, 443, 7999, 8000, 8050, 8100, 8101];
  for (const port of ports) await server.listen("127.0.0.2", port);
  const client = Peer.start(netns);
  const to = new Map<number, Connections>();
  for (const port of ports) to.set(port, await client.connect("127.0.0.2", port));
  const listed = async (...args: string[]) => await listedPorts(netns, "127.0.0.2", ...args);
  const expected = (...wanted: number[]) => portsOf(...wanted.map((port) => to.get(port)!));

  assertEquals(await listed("8000"), expected(8000));
  assertEquals(await listed("8000-8100"), expected(8000, 8050, 8100));
  assertEquals(await listed("8101-8101"), expected(8101));
  assertEquals(await listed("1-65535"), expected(...ports));
  assertEquals(await listed("http"), expected(80));
  assertEquals(await listed("https"), expected(443));
  for (const every of [["0"], ["any"], []]) assertEquals(await listed(...every), expected(...ports), every[0]);

  await tcphup(["127.0.0.2", "8000-8100"], { netns, code: 0 });
  for (const port of [8000, 8050, 8100]) await to.get(port)!.assertEnded("EOF");
  for (const port of [80, 443, 7999, 8101]) await to.get(port)!.assertAlive();
});

systemTest("hup: port 0 is every port, as in eBay's tcphup", [], async (netns) => {
  const scene = await Scene.make(netns);
  const elsewhere = await scene.client.connect("127.0.0.3", DOOMED_PORT);
  const run = await tcphup(["127.0.0.2", "0", "--json"], { netns, code: 0 });
  assertEquals(run.json().hung_up, 6);
  await scene.doomed.assertEnded("EOF");
  await scene.kept.assertEnded("EOF");
  await elsewhere.assertAlive();
});

systemTest("DEST is the remote end: a server hangs up on a client by the client's address", [], async (netns) => {
  const { server, client, pool: gone } = await makePool(netns, { source: "127.0.0.9", count: 2 });
  const kept = await client.connect("127.0.0.2", DOOMED_PORT, { source: "127.0.0.8", count: 2 });
  await gone.assertAlive();
  const run = await tcphup(["127.0.0.9", "--json"], { netns, code: 0 });
  assertEquals(run.json().connections.map(({ owners }) => owners.map(({ pid }) => pid)), [[server.pid], [server.pid]]);
  await gone.assertEnded("EOF");
  await kept.assertAlive();
});

systemTest("listening sockets are never touched", ["IPv6"], async (netns) => {
  const scene = await Scene.make(netns);
  const dual = Peer.start(netns);
  await dual.listen("::", 7000);
  // Both ends of six connections; an address without a length is that of a listener's other end, or of nobody.
  const matching = { "any": 12, "any 0": 12, "0.0.0.0/0": 12, "::/0": 0, "0.0.0.0 0": 0, ":: 0": 0 };
  for (const [args, count] of Object.entries(matching)) {
    const run = await tcphup([...args.split(" "), "--dry-run", "--json"], { netns, code: 0 });
    assertEquals(run.json().connections.map(({ state }) => state), Array(count).fill("ESTAB"), args);
  }
  for (const how of [[], ["--destroy"]]) await tcphup(["any", ...how], { netns, code: 0 });
  await (await scene.client.connect("127.0.0.2", DOOMED_PORT)).assertAlive();
  await (await scene.client.connect("::1", 7000)).assertAlive();
});

systemTest("a connection that is still being opened to a dead host", [], async (netns) => {
  await using other = await Namespace.create();
  await netns.link(other, ["10.1.0.1/24"], ["10.1.0.2/24", "10.1.0.9/24"]);
  await netns.silence("10.1.0.9", other);
  const client = Peer.start(netns);
  const opening = await client.beginConnect("10.1.0.9", DOOMED_PORT);
  const again = await client.beginConnect("10.1.0.9", DOOMED_PORT + 1);
  const asked = ["--state", "syn-sent"];
  const run = await tcphup(["10.1.0.9", `${DOOMED_PORT}`, ...asked, "--json"], { netns, code: 0 });
  assertEquals(run.json().connections.map(({ state, outcome }) => ({ state, outcome })), [
    { state: "SYN-SENT", outcome: "hung-up" },
  ]);
  const told = await tcphup(["10.1.0.9", ...asked], { netns, code: 0 });
  assertMatch(told.stdout, /connect attempt ended\nended 1 connect attempt\n$/);
  await again.assertEnded("ECONNRESET");
  await opening.assertEnded("ECONNRESET");
  assertEquals(await netns.ss("state", "connected"), []);
});

systemTest("a connection that its peer has closed (CLOSE-WAIT)", [], async (netns) => {
  const { server, pool: leaked } = await makePool(netns);
  await (await server.serving(1)).close();
  await leaked.assertEnded("EOF");
  const run = await tcphup(["127.0.0.2", "--json"], { netns, code: 0 });
  assertEquals(run.json().connections.map(({ state, outcome }) => ({ state, outcome })), [
    { state: "CLOSE-WAIT", outcome: "hung-up" },
  ]);
  await eventually("the connection is gone", async () => (await netns.ss("state", "close-wait")).length === 0);
  assertEquals(await leaked.send("too late"), ["EPIPE"]);
});

systemTest("TIME-WAIT is left to itself", [], async (netns) => {
  const scene = await Scene.make(netns);
  await scene.doomed.close();
  await eventually("TIME-WAIT", async () => (await netns.ss("state", "time-wait")).length === 3);
  for (const flags of [[], ["--destroy"]]) {
    const run = await tcphup(["127.0.0.2", `${DOOMED_PORT}`, "--json", ...flags], { netns, code: 0 });
    assertEquals(run.json().matched, 0);
  }
  assertEquals((await netns.ss("state", "time-wait")).length, 3);
});

systemTest("nothing matches: exit 0, matched 0", [], async (netns) => {
  const scene = await Scene.make(netns);
  const run = await tcphup(["127.0.0.99", `${DOOMED_PORT}`, "--json"], { netns, code: 0 });
  assertEquals(run.json().matched, 0);
  assertEquals(run.json().connections, []);
  await scene.assertUntouched();
});

systemTest("an empty selection is refused, any has to be said", [], async (netns) => {
  const scene = await Scene.make(netns);
  for (const command of [[], ["hup"], ["ls"], ["--destroy"]]) {
    assertUsageError(await tcphup(command, { netns }), /any/);
  }
  await scene.assertUntouched();
  const run = await tcphup(["any", "--json"], { netns, code: 0 });
  assertEquals(run.json().matched, 12, "both ends of six connections");
  assertEquals(run.json().failed, 0);
  await scene.doomed.assertEnded("EOF");
  await scene.kept.assertEnded("EOF");
});
