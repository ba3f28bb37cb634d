// Every flag that selects, with every command that it belongs to, on one scene; and how much of the host is read for it.

import { assert, assertEquals } from "@std/assert";
import { SELECTION_FLAGS } from "../../src/cli/flags/selection_flags.ts";
import { Cgroup } from "../harness/cgroup.ts";
import { Namespace } from "../harness/namespace.ts";
import { type Connections, Peer } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { Scene } from "../harness/scene.ts";
import { selected } from "../harness/selected.ts";
import { systemTest } from "../harness/system.ts";
import { TCPHUP, tcphup } from "../harness/tcphup.ts";

const PORT = 8000;
const OTHER_PORT = 9000;
const USER = 54_321;
const MARK = 7;

/** Connections of which each is different from all others in one way. */
interface Differences {
  readonly plain: Connections;
  readonly toOtherPort: Connections;
  readonly fromVip: Connections;
  readonly stuck: Connections;
  readonly marked: Connections;
  readonly bound: Connections;
  readonly halfClosed: Connections;
  readonly ofOthers: Connections;
  readonly inContainer: Connections;
}

/** The commands, each in the form that touches nothing. */
const COMMANDS: readonly (readonly string[])[] = [
  ["hup", "--dry-run"],
  ["ls"],
  ["keepalive", "--idle", "30", "--dry-run"],
];

systemTest("each flag that selects does so for hup, ls and keepalive", ["cgroup v2", "setpriv"], async (netns) => {
  await using far = await Namespace.create();
  const containerId = Cgroup.uniqueContainerId();
  await using container = await Cgroup.create(`docker-${containerId}.scope`);
  const [vip, server, dead] = ["10.0.0.10", "10.0.0.2", "10.0.0.9"];
  await netns.link(far, ["10.0.0.1/24", `${vip}/24`], [`${server}/24`, `${dead}/24`]);
  const peer = Peer.start(far);
  for (const port of [PORT, OTHER_PORT]) await peer.listen("0.0.0.0", port);
  const client = Peer.start(netns);
  const other = Peer.start(netns, { user: USER });
  await other.setName("other");
  const contained = Peer.start(netns);
  await contained.setName("contained");
  await container.add(contained.pid);
  const all: Differences = {
    plain: await client.connect(server, PORT),
    toOtherPort: await client.connect(server, OTHER_PORT),
    fromVip: await client.connect(server, PORT, { source: vip }),
    stuck: await client.connect(dead, PORT),
    marked: await client.connect(server, PORT),
    bound: await client.connect(server, PORT),
    halfClosed: await client.connect(server, PORT),
    ofOthers: await other.connect(server, PORT),
    inContainer: await contained.connect(server, PORT),
  };
  const everything = Object.values(all) as Connections[];
  for (const connections of everything) await connections.setKeepalive({ enabled: connections !== all.plain });
  await all.marked.setMark(MARK);
  await all.bound.bindToDevice("veth");
  const serving = await peer.serving(everything.flatMap(({ ports }) => ports).length);
  await serving.only(all.halfClosed.ports).close();
  await netns.exec("ip", "address", "del", `${vip}/24`, "dev", "veth");
  await netns.silence(dead, far);
  await all.stuck.send("are you there?");

  const list = await Deno.makeTempFile({ prefix: "tcphup-test-" });
  await Deno.writeTextFile(list, `${dead} # gone\n`);
  const but = (...some: Connections[]) => everything.filter((connections) => !some.includes(connections));
  const flags: Record<string, [args: string[], selects: Connections[]]> = {
    filter: [["-f", `dst ${dead} or dport = :${OTHER_PORT}`], [all.stuck, all.toOtherPort]],
    dst: [["--dst", dead], [all.stuck]],
    src: [["--src", vip], [all.fromVip]],
    dport: [["--dport", `${OTHER_PORT}`], [all.toOtherPort]],
    sport: [["--sport", `${all.plain.ports[0]}`], [all.plain]],
    "dst-file": [["--dst-file", list], [all.stuck]],
    state: [["--state", "close-wait"], [all.halfClosed]],
    interface: [["--interface", "veth"], [all.bound]],
    mark: [["--mark", `${MARK}`], [all.marked]],
    user: [["--user", `${USER}`], [all.ofOthers]],
    pid: [["--pid", `${other.pid}`], [all.ofOthers]],
    children: [["--pid", `${other.pid}`, "--children"], [all.ofOthers]],
    comm: [["--comm", "oth*"], [all.ofOthers]],
    exe: [["--exe", "python*", "--dport", `${OTHER_PORT}`], [all.toOtherPort]],
    cgroup: [["--cgroup", container.path], [all.inContainer]],
    "missing-ok": [["--cgroup", "no-such.service", "--cgroup", container.path, "--missing-ok"], [all.inContainer]],
    container: [["--container", containerId.slice(0, 12)], [all.inContainer]],
    netns: [["--netns", netns.name, "--netns", far.name, "--dst", dead], [all.stuck]],
    "idle-for": [["--idle-for", "1s", "--dst", server, "--dport", `${OTHER_PORT}`], [all.toOtherPort]],
    "silent-for": [["--silent-for", "1s", "--dst", server, "--dport", `${OTHER_PORT}`], [all.toOtherPort]],
    stalled: [["--stalled"], [all.stuck]],
    "close-wait": [["--close-wait"], [all.halfClosed]],
    "no-keepalive": [["--no-keepalive"], [all.plain]],
    "src-gone": [["--src-gone"], [all.fromVip]],
    not: [["any", "--not", "--dst", dead, "--not", "--comm", "oth*"], but(all.stuck, all.ofOthers)],
  };
  assertEquals(Object.keys(flags).sort(), SELECTION_FLAGS.map(({ name }) => name).sort(), "flags that are tested here");

  const portsOf = (some: readonly Connections[]) => some.flatMap(({ ports }) => ports).sort();
  for (const [name, [args, selects]] of Object.entries(flags)) {
    // Time has to go by for some of them.
    await eventually(`--${name} selects`, async () => (await selected(netns, args)).length >= selects.length);
    for (const command of COMMANDS) {
      const run = await tcphup([...command, ...args, "--json"], { netns, code: 0 });
      const ports = run.json().connections.map(({ src }) => src.port).sort();
      assertEquals(ports, portsOf(selects), `${command[0]} ${args.join(" ")}`);
    }
  }
  await Deno.remove(list);
  await all.plain.assertAlive();
});

systemTest("/proc is walked once, however many namespaces are looked into", ["strace"], async (netns) => {
  const others = await Promise.all([1, 2, 3].map(() => Namespace.create()));
  const scenes = await Promise.all([netns, ...others].map((place) => Scene.make(place)));
  const directory = await Deno.makeTempDir({ prefix: "tcphup-test-" });
  const { pid } = scenes[0]!.client;
  /** How often /proc is listed, and the descriptors of one holder are, when these namespaces are looked into. */
  const walks = async (namespaces: readonly Namespace[]) => {
    const trace = `${directory}/trace`;
    const strace = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=openat", "-e", "signal=none"];
    const args = namespaces.flatMap(({ name }) => ["--netns", name]);
    const command = [...strace, ...TCPHUP];
    const run = await tcphup(["127.0.0.2", `${PORT}`, ...args, "--dry-run", "--json", "--no-bpf"], {
      netns,
      command,
      code: 0,
    });
    assertEquals(run.json().matched, 3 * namespaces.length);
    const opened = [...(await Deno.readTextFile(trace)).matchAll(/"(\/proc(?:\/\d+\/fd)?)"/g)].map(([, path = ""]) =>
      path
    );
    return { lists: count(opened, "/proc"), holder: count(opened, `/proc/${pid}/fd`) };
  };
  try {
    const one = await walks([netns]);
    assert(one.holder > 0);
    assertEquals(await walks([netns, ...others]), one);
  } finally {
    await Deno.remove(directory, { recursive: true });
    for (const other of others) await other[Symbol.asyncDispose]();
  }
});

function count(texts: readonly string[], text: string): number {
  return texts.filter((one) => one === text).length;
}
