// Selecting by where: one namespace or several, by name, process and path, and all of a host at once.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { currentNetns, NetnsError } from "../../src/linux/netns/enter.ts";
import { processes } from "../../src/linux/proc/process.ts";
import { NamespaceSet } from "../../src/select/namespace_set.ts";
import { Directory } from "../harness/directory.ts";
import { Namespace, uniqueAddress } from "../harness/namespace.ts";
import { Lines } from "../harness/lines.ts";
import { Peer } from "../harness/peer.ts";
import { eventually, run } from "../harness/process.ts";
import { assertOneLine, assertUsageError, Scene } from "../harness/scene.ts";
import { assertSelects, selected } from "../harness/selected.ts";
import { systemTest } from "../harness/system.ts";
import { PublicCopy, TCPHUP, tcphup } from "../harness/tcphup.ts";

async function ino(path: string): Promise<number> {
  return (await Deno.stat(path)).ino!;
}

systemTest("what is found in its own namespace is cut before the others are listed", ["strace"], async (netns) => {
  const address = uniqueAddress();
  const scene = await Scene.make(netns, { address });
  await using _other = await Namespace.create();
  using directory = new Directory();
  const trace = `${directory.path}/trace`;
  const command = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=sendto,shutdown", "-e", "signal=none", ...TCPHUP];
  const args = [address, "8000", "--netns=all", "--include-session"];
  await tcphup(args, { netns, command, code: 0 });
  const calls = (await Deno.readTextFile(trace)).split("\n").filter((call) => /sendto\(|shutdown\(/.test(call));
  // A namespace is asked for MPTCP of each family, for TCP, and for MPTCP again.
  assertEquals(calls.findIndex((call) => call.includes("shutdown(")), 5, calls.join("\n"));
  await scene.assertHungUp();
});

systemTest("--netns by name, process and path", [], async (netns) => {
  await using other = await Namespace.create();
  const { doomed, client } = await Scene.make(other);
  const selection = ["--dport", "8000"];
  await assertSelects(netns, selection, []);
  for (const place of [other.name, `${client.pid}`, `/proc/${client.pid}/ns/net`, `/run/netns/${other.name}`]) {
    await assertSelects(netns, [...selection, "--netns", place], doomed.ports);
  }
  const connections = await selected(netns, [...selection, "--netns", other.name]);
  assertEquals(new Set(connections.map(({ netns }) => netns)), new Set([await ino(`/run/netns/${other.name}`)]));
  const here = ["--netns", netns.name, "--netns", other.name, "--netns", `${client.pid}`];
  await assertSelects(netns, [...selection, ...here], doomed.ports);
  await assertSelects(netns, [...selection, ...here, "--not", "--netns", other.name], []);
});

systemTest("hanging up in another namespace, and nowhere else", [], async (netns) => {
  await using other = await Namespace.create();
  const [here, there] = [await Scene.make(netns), await Scene.make(other)];
  const run = await tcphup(["127.0.0.2", "8000", "--netns", other.name, "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await there.assertHungUp();
  await here.assertUntouched();
});

systemTest("destroying in two namespaces at once", [], async (netns) => {
  await using other = await Namespace.create();
  const scenes = [await Scene.make(netns), await Scene.make(other)];
  const namespaces = ["--netns", netns.name, "--netns", other.name];
  const run = await tcphup(["127.0.0.2", "8000", ...namespaces, "--destroy", "--verify", "--json"], { netns, code: 0 });
  assertEquals(run.json().destroyed, 6);
  for (const { doomed, kept } of scenes) {
    await doomed.assertEnded("ECONNABORTED");
    await kept.assertAlive();
  }
});

systemTest("--destroy-after and pacing reach other namespaces too", [], async (netns) => {
  await using other = await Namespace.create();
  await using far = await Namespace.create();
  await other.link(far, ["10.0.0.1/24"], ["10.0.0.2/24"]);
  const server = Peer.start(far);
  await server.listen("10.0.0.2", 8000);
  const client = Peer.start(other);
  const doomed = await client.connect("10.0.0.2", 8000, { count: 3 });
  await other.silence("10.0.0.2", far);
  const selection = ["--dst", "10.0.0.2", "--netns", other.name];
  const run = await tcphup([...selection, "--rate", "100/s", "--destroy-after", "0.2", "--json"], { netns, code: 0 });
  assertEquals(run.outcomes(), ["destroyed", "destroyed", "destroyed"]);
  assertEquals(await selected(netns, selection), []);
  await doomed.assertEnded("EOF");
});

systemTest("--netns all: every namespace once, and rows name theirs", [], async (netns) => {
  await using named = await Namespace.create();
  const address = uniqueAddress();
  const [here, there] = [await Scene.make(netns, { address }), await Scene.make(named, { address })];
  // One that has no name, but processes.
  const hermit = Peer.start(named);
  await hermit.leaveNetns();
  await hermit.run(["ip", "link", "set", "lo", "up"]);
  await hermit.listen(address, 8000);
  const lone = await hermit.connect(address, 8000);
  await hermit.serving(1);
  const connections = await selected(netns, ["--dst", address, "--dport", "8000", "--netns", "all"]);
  const ports = [...here.doomed.ports, ...there.doomed.ports, ...lone.ports];
  assertEquals(connections.map(({ src }) => src.port).sort(), ports.sort());
  const names = new Map(connections.map(({ netns, netns_name }) => [netns, netns_name]));
  assertEquals(names.get(await ino(`/run/netns/${netns.name}`)), netns.name);
  assertEquals(names.get(await ino(`/run/netns/${named.name}`)), named.name);
  assertEquals(names.get(await ino(`/proc/${hermit.pid}/ns/net`)), `${hermit.pid}/python3`);
  const table = await tcphup(["ls", "--dst", address, "--dport", "8000", "--netns", "all"], { netns });
  assert(table.stdout.startsWith("Netns"), table.stdout);
  assert(table.stdout.split("\n").some((line) => line.startsWith(named.name)), table.stdout);
  const hup = await tcphup(["--dst", address, "--dport", "8000", "--netns", "all", "--json"], { netns, code: 0 });
  assertEquals(hup.json().hung_up, 7);
  for (const doomed of [here.doomed, there.doomed, lone]) await doomed.assertEnded("EOF");
  for (const kept of [here.kept, there.kept]) await kept.assertAlive();
});

systemTest("the same addresses and ports in two namespaces are two connections", [], async (netns) => {
  await using other = await Namespace.create();
  const address = uniqueAddress();
  const connections = [];
  for (const place of [netns, other]) {
    const server = Peer.start(place);
    await server.listen(address, 8000);
    // The kernel is left one port to choose.
    await place.exec("sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40001");
    const client = Peer.start(place);
    connections.push(await client.connect(address, 8000, { source: "127.0.0.1" }));
  }
  const found = await selected(netns, ["--dst", address, "--dport", "8000", "--netns", "all"]);
  assertEquals(found.length, 2);
  assertEquals(new Set(found.map(({ netns }) => netns)).size, 2);
  assertEquals(new Set(found.map(({ owners }) => owners[0]!.pid)).size, 2);
  await tcphup(["--dst", address, "--dport", "8000", "--netns", other.name, "--json"], { netns, code: 0 });
  await connections[1]!.assertEnded("EOF");
  await connections[0]!.assertAlive();
});

systemTest("the holder lives in another namespace than the socket", [], async (netns) => {
  await using other = await Namespace.create();
  const address = uniqueAddress();
  const scene = await Scene.make(other, { address });
  await scene.client.leaveNetns();
  const run = await tcphup(["--dst", address, "--dport", "8000", "--netns", "all", "--json"], { netns, code: 0 });
  assertEquals(run.json().connections.map(({ netns_name, owners }) => [netns_name, owners[0]!.pid]), [
    [other.name, scene.client.pid],
    [other.name, scene.client.pid],
    [other.name, scene.client.pid],
  ]);
  await scene.assertHungUp();
});

systemTest("a name that is left over from a namespace is passed over", [], async (netns) => {
  const stale = `/run/netns/tcphup-test-${crypto.randomUUID().slice(0, 8)}`;
  await Deno.writeTextFile(stale, "");
  try {
    const address = uniqueAddress();
    const { doomed } = await Scene.make(netns, { address });
    await assertSelects(netns, ["--dst", address, "--dport", "8000", "--netns", "all"], doomed.ports);
    const name = stale.slice("/run/netns/".length);
    assertUsageError(
      await tcphup(["any", "--netns", name], { netns }),
      new RegExp(`Not a network namespace: "${name}"`),
    );
  } finally {
    await Deno.remove(stale);
  }
});

systemTest("a namespace that is not there: said by name, exit 2", [], async (netns) => {
  const scene = await Scene.make(netns);
  const wrong: [string, RegExp][] = [
    ["no-such-name", /"no-such-name".*ip netns/],
    ["4194305", /4194305/],
    ["/no/such/path", /\/no\/such\/path/],
    ["/etc/passwd", /\/etc\/passwd/],
    [`/proc/${scene.client.pid}/ns/mnt`, /Not a network namespace.*ns\/mnt/],
  ];
  for (const [place, says] of wrong) {
    assertUsageError(await tcphup(["any", "--netns", place], { netns }), says);
    assertUsageError(await tcphup(["any", "--netns", "all", "--not", "--netns", place, "-n"], { netns }), says);
  }
  await scene.assertUntouched();
});

systemTest("namespaces that may not be entered: counted and named, exit 1", ["setpriv"], async (netns) => {
  await using copy = await PublicCopy.make();
  await using other = await Namespace.create();
  const address = uniqueAddress();
  const { doomed, client } = await Scene.make(netns, { address, user: 54_321 });
  const there = await Scene.make(other, { address });
  const selection = ["--dst", address, "--dport", "8000", "--json"];
  const options = { netns, user: 54_321, ...copy };
  const all = await tcphup([...selection, "--netns", "all"], { ...options, code: 1 });
  assert(/^tcphup: \d+ network namespaces? may not be entered: .*CAP_SYS_ADMIN$/m.test(all.stderr), all.stderr);
  assertEquals(all.outcomes(), ["hung-up", "hung-up", "hung-up"]);
  await doomed.assertEnded("EOF");
  const named = await tcphup([...selection, "--netns", other.name, "--netns", `${client.pid}`], {
    ...options,
    code: 1,
  });
  assertOneLine(named, new RegExp(`1 network namespace may not be entered: ${other.name}`));
  const only = await tcphup([...selection, "--netns", other.name], { ...options, code: 4 });
  assertOneLine(only, new RegExp(other.name));
  await there.assertUntouched();
});

systemTest("a namespace that there is no way back from is not entered", [], async (netns) => {
  // Root of a user namespace of its own may enter network namespaces of that one, but not the one that it came from.
  const script = 'unshare --net sleep 1000 & echo $!; exec "$@"';
  const child = netns.spawn(["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", "cat"]);
  await using stdout = new Lines(child.stdout);
  const [pid = ""] = await stdout.next(1);
  try {
    await eventually("the other namespace is there", async () => {
      const [inside, outside] = await Promise.all([pid, child.pid].map((pid) => Deno.readLink(`/proc/${pid}/ns/net`)));
      return inside !== outside;
    });
    const enter = ["nsenter", "--user", "--preserve-credentials", "--target", `${child.pid}`, "--net", "--", ...TCPHUP];
    const { code, stderr } = await run([...enter, "ls", "any", "--netns", pid], { mayFail: true });
    assertEquals([code, stderr], [
      4,
      `tcphup: 1 network namespace may not be entered: ${pid}/sleep: needs CAP_SYS_ADMIN in its user namespace as well\n`,
    ]);
  } finally {
    // It is not in the test's namespace, with which it would end.
    Deno.kill(Number(pid), "SIGKILL");
  }
});

systemTest("keepalive is judged by the settings of the namespace that a connection is in", [], async (netns) => {
  await using other = await Namespace.create();
  await other.exec("sysctl", "-qw", "net.ipv4.tcp_keepalive_time=110", "net.ipv4.tcp_retries2=3");
  const { doomed } = await Scene.make(other);
  await doomed.setKeepalive({ enabled: true });
  const connection = (await selected(netns, ["--dport", "8000", "--netns", other.name]))[0]!;
  assertEquals(connection.keepalive?.idle_s, 110);
  assertEquals(connection.dead_peer_noticed, { idle_ms: (110 + 9 * 75) * 1000, in_flight_ms: 3000 });
});

systemTest(
  "a namespace that a container's process lives in is named after the container",
  ["cgroup v2"],
  async (netns) => {
    const { Cgroup } = await import("../harness/cgroup.ts");
    const id = Cgroup.uniqueContainerId();
    await using scope = await Cgroup.create(`docker-${id}.scope`);
    const address = uniqueAddress();
    const inside = Peer.start(netns);
    await scope.add(inside.pid);
    await inside.leaveNetns();
    await inside.run(["ip", "link", "set", "lo", "up"]);
    await inside.listen(address, 8000);
    const pair = await inside.connect(address, 8000);
    const namespaces = ["--netns", `${inside.pid}`, "--netns", netns.name];
    const connection = (await selected(netns, [...namespaces, "--container", id.slice(0, 12), "--dport", "8000"]))[0]!;
    assertEquals([connection.src.port, connection.netns_name], [pair.ports[0], id.slice(0, 12)]);
  },
);

systemTest("ip netns exec, unshare and nsenter are ways to the same namespace", [], async (netns) => {
  const { doomed, client } = await Scene.make(netns);
  const place = ["--netns", netns.name, "--netns", `/proc/${client.pid}/ns/net`, "--netns", `${client.pid}`];
  await assertSelects(netns, [...place, "--dport", "8000"], doomed.ports);
  const { stdout } = await run(["nsenter", "-t", `${client.pid}`, "-n", "readlink", "/proc/self/ns/net"]);
  const connection = (await selected(netns, [...place, "--dport", "8000"]))[0]!;
  assertEquals(`net:[${connection.netns}]`, stdout.trim());
});

/** A network namespace without a name, and two processes that live in it. */
async function twoInOne(
  netns: Namespace,
): Promise<{ ino: number; first: Deno.ChildProcess; second: Deno.ChildProcess }> {
  const own = await ino(`/run/netns/${netns.name}`);
  const pathOf = ({ pid }: Deno.ChildProcess) => `/proc/${pid}/ns/net`;
  const outside = await ino("/proc/self/ns/net");
  const isInside = async (child: Deno.ChildProcess) => ![own, outside].includes(await ino(pathOf(child)));
  const first = netns.spawn(["unshare", "--net", "sleep", "600"]);
  await eventually("a namespace of its own", () => isInside(first));
  const second = netns.spawn(["nsenter", `--net=${pathOf(first)}`, "sleep", "600"]);
  await eventually("the same for another process", () => isInside(second));
  return { ino: await ino(pathOf(first)), first, second };
}

/** The inode numbers of the namespaces that are looked into. */
function looked(namespaces: NamespaceSet): number[] {
  const inos: number[] = [];
  for (
    const _ of namespaces.forEach((netns, diag) => {
      diag.dump(NO_SOCKETS, () => {});
      inos.push(netns);
    }, () => [])
  );
  return inos;
}

const NO_SOCKETS = { family: 2, protocol: 6, states: 0, extensions: 0, bytecode: null };

systemTest("a namespace is looked into after the process by which it was named has ended", [], async (netns) => {
  const { ino, first } = await twoInOne(netns);
  const namespaces = new NamespaceSet([`${first.pid}`], [], processes);
  try {
    assertEquals(looked(namespaces), [ino]);
    first.kill("SIGKILL");
    await first.status;
    assertEquals(namespaces.within(ino, currentNetns), ino, "entered by way of the other process");
    assertEquals(looked(namespaces), [ino]);
    assertEquals(looked(namespaces), [ino]);
  } finally {
    namespaces.close();
  }
});

systemTest("a namespace in which nobody lives any more is gone", [], async (netns) => {
  const { ino, first, second } = await twoInOne(netns);
  const namespaces = new NamespaceSet([`${first.pid}`], [], processes);
  try {
    assertEquals(looked(namespaces), [ino]);
    for (const child of [first, second]) {
      child.kill("SIGKILL");
      await child.status;
    }
    for (let time = 1; time <= 2; time++) {
      assertEquals(assertThrows(() => namespaces.within(ino, currentNetns), NetnsError).reason, "gone");
    }
    assertEquals(looked(namespaces), []);
  } finally {
    namespaces.close();
  }
});

systemTest("a namespace stays left out after the process by which it was named has ended", [], async (netns) => {
  const { ino, first } = await twoInOne(netns);
  const namespaces = new NamespaceSet(["all"], [`${first.pid}`], processes);
  try {
    assert(!looked(namespaces).includes(ino));
    first.kill("SIGKILL");
    await first.status;
    const inos = looked(namespaces);
    assert(!inos.includes(ino) && inos.includes(currentNetns()));
  } finally {
    namespaces.close();
  }
});
