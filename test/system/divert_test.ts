// tcphup --refuse and --redirect: connect(2) fails or goes elsewhere, while it runs and no longer.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Attached, Place } from "../harness/attach.ts";
import { Cgroup } from "../harness/cgroup.ts";
import { Directory } from "../harness/directory.ts";
import { Dialogue } from "../harness/lines.ts";
import { Peer, python } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertOneLine, assertUsageError } from "../harness/scene.ts";
import { nginx, redis } from "../harness/servers.ts";
import { withoutSyscall } from "../harness/syscalls.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { engineOf, TCPHUP } from "../harness/tcphup.ts";

const NEEDS: Need[] = ["cgroup v2", "unshare", "IPv6", "permission to use BPF"];

/** A server for every address of the place, and two IPv6 addresses. */
async function serve(place: Place, ...ports: number[]): Promise<Peer> {
  for (const address of ["2001:db8::5", "2001:db8::6"]) {
    await place.netns.run(["ip", "address", "add", `${address}/128`, "dev", "lo", "nodad"]);
  }
  const server = Peer.start(place.netns, place.inside());
  for (const port of ports.length === 0 ? [8000] : ports) await server.listen("::", port);
  return server;
}

function divertTest(name: string, needs: readonly Need[], body: (place: Place) => Promise<void>): void {
  systemTest(`--refuse and --redirect: ${name}`, [...NEEDS, ...needs], async (netns) => {
    await using place = await Place.make(netns);
    await body(place);
  });
}

/** Connects once to each address and port, and prints the peers, or why not. */
const PROBE = `
import errno, json, socket, sys
def call(target):
    address, port, *protocol = target.split()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, int((protocol or [0])[0])) as sock:
        sock.settimeout(20)
        try:
            sock.connect((address, int(port)))
            peer = sock.getpeername()
            return f"{peer[0]} {peer[1]}"
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))
print(json.dumps([call(target) for target in sys.argv[1:]]))`;

/** Where connects to each target, an address and a port, come out: at the peer's address and port, or an errno. */
async function connects(
  place: Place,
  targets: readonly string[],
  { cgroup = place.cgroup, user }: { cgroup?: Cgroup; user?: number } = {},
): Promise<string[]> {
  const { within } = place.inside(cgroup);
  const as = user === undefined ? [] : ["setpriv", "--reuid", `${user}`, "--clear-groups"];
  const { stdout } = await place.netns.run(python(PROBE, ...targets), { within: [...within, ...as] });
  return JSON.parse(stdout);
}

async function connect(place: Place, target: string, cgroup?: Cgroup): Promise<string> {
  return (await connects(place, [target], { cgroup }))[0]!;
}

divertTest("no client connects again, in both families, until it is interrupted", [], async (place) => {
  const server = await serve(place);
  const client = Peer.start(place.netns, place.inside(place.cgroup));
  const targets = ["127.0.0.5", "::ffff:127.0.0.5", "2001:db8::5"];
  const open = [];
  for (const address of targets) open.push(await client.connect(address, 8000, { reconnect: true }));
  await server.serving(3);
  const diverting = await place.divert(["--dst", "127.0.0.5", "--dst", "2001:db8::5", "--dport", "8000", "--refuse"]);
  for (const [i, connections] of open.entries()) {
    await eventually(`client ${i} is refused`, async () => {
      const [seen] = await connections.seen();
      return seen?.ends[0] === "EOF" && seen.ends.includes("ECONNREFUSED");
    });
  }
  assertEquals((await place.tcphup(["ls", "127.0.0.5", "8000", "--json"])).json().connections, []);
  const others = ["127.0.0.6 8000", "2001:db8::6 8000", "::ffff:127.0.0.6 8000"];
  assertEquals(await connects(place, others), others);
  const outside = await Cgroup.create(Cgroup.uniqueName());
  assertEquals(await connect(place, "127.0.0.5 8000", outside), "127.0.0.5 8000");
  await outside[Symbol.asyncDispose]();
  const { code, stdout, stderr } = await diverting.end("SIGINT");
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /^refused \d+ connects, the last at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n$/);
  assertEquals(await connects(place, targets.map((address) => `${address} 8000`)), targets.map((one) => `${one} 8000`));
});

divertTest("MPTCP is refused too, and UDP is not", ["MPTCP"], async (place) => {
  await serve(place);
  await using _diverting = await place.divert(["any", "8000", "--refuse"]);
  const IPPROTO_MPTCP = 262;
  assertEquals(await connects(place, [`127.0.0.5 8000 ${IPPROTO_MPTCP}`]), ["ECONNREFUSED"]);
  const udp = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.connect(('127.0.0.5', 8000)); print('udp')";
  const { stdout } = await place.netns.run(python(udp), place.inside(place.cgroup));
  assertEquals(stdout, "udp\n");
});

divertTest(
  "a redirected connect arrives at the address of its family, with another port or its own",
  [],
  async (place) => {
    await serve(place, 8000, 9000);
    const one = await place.divert(["127.0.0.5", "8000", "--redirect", "127.0.0.6"]);
    const targets = ["127.0.0.5 8000", "::ffff:127.0.0.5 8000", "127.0.0.5 9000"];
    assertEquals(await connects(place, targets), ["127.0.0.6 8000", "::ffff:127.0.0.6 8000", "127.0.0.5 9000"]);
    const { stdout } = await one.end();
    assertMatch(stdout, /^redirected 2 connects, the last at /);
    const addresses = ["--redirect", "127.0.0.6:9000", "--redirect", "[2001:db8::6]:9000"];
    await using _both = await place.divert(["--dst", "127.0.0.5", "--dst", "2001:db8::5", ...addresses]);
    const both = ["127.0.0.5 8000", "::ffff:127.0.0.5 8000", "2001:db8::5 8000", "2001:db8::6 8000"];
    const arrived = ["127.0.0.6 9000", "::ffff:127.0.0.6 9000", "2001:db8::6 9000", "2001:db8::6 8000"];
    assertEquals(await connects(place, both), arrived);
  },
);

divertTest("what connect(2) tells narrows it", ["setpriv"], async (place) => {
  await serve(place, 8000, 9000);
  const file = await Deno.makeTempFile({ prefix: "tcphup-test-" });
  await Deno.writeTextFile(file, [...Array(3000).keys()].map((i) => `10.9.${i >> 8}.${i & 255}\n`).join("") + "::1\n");
  const targets = ["127.0.0.2 8000", "127.0.0.3 9000", "::1 8000", "::ffff:127.0.0.4 9000", "0.0.0.0 8000"];
  const cases: [string[], string][] = [
    [["127.0.0.2"], "x...."],
    [["127.0.0.2", "9000"], "....."],
    [["127.0.0.0/8"], "xx.xx"],
    [["::/0"], "..x.."],
    [["any", "8500-9000"], ".x.x."],
    [["any", "-4"], "xx.xx"],
    [["any", "-6"], "..x.."],
    [["127.0.0.1"], "....x"],
    [["--dst-file", file], "..x.."],
    [["any", "--not", "--dst", "127.0.0.0/30"], "..xx."],
    [["-f", "dst 127.0.0.0/30 and not dport = :9000"], "x...x"],
    [["any", "--user", "0"], "xxxxx"],
    [["any", "--user", "65534"], "....."],
    [["any", "--netns", place.netns.name], "xxxxx"],
    [["any", "--netns", `${Deno.pid}`], "....."],
    [["any", "--not", "--netns", place.netns.name], "....."],
  ];
  for (const [args, expected] of cases) {
    await using _diverting = await place.divert([...args, "--refuse"]);
    const found = await connects(place, targets);
    assertEquals(found.map((one) => one === "ECONNREFUSED" ? "x" : ".").join(""), expected, args.join(" "));
  }
  await using _users = await place.divert(["any", "--user", "65534", "--refuse"]);
  assertEquals(await connects(place, ["127.0.0.2 8000"], { user: 65534 }), ["ECONNREFUSED"]);
  await Deno.remove(file);
});

divertTest("its time runs out, and it says what came of it", [], async (place) => {
  await serve(place);
  const diverting = await place.divert(["127.0.0.5", "8000", "--verbose", "--refuse", "8s"]);
  assertEquals(await connects(place, ["127.0.0.5 8000", "127.0.0.5 8000"]), ["ECONNREFUSED", "ECONNREFUSED"]);
  const { code, stdout } = await diverting.end(null);
  assertEquals(code, 0);
  assertMatch(stdout, /^refused 2 connects.*\nDestination +Connects +Last *\nto 127\.0\.0\.5:8000 +2 +\d/m);
  assertEquals(await connect(place, "127.0.0.5 8000"), "127.0.0.5 8000");
});

divertTest("SIGKILL of either process leaves nothing behind", [], async (place) => {
  await serve(place);
  const isRefused = async () => await connect(place, "127.0.0.5 8000") === "ECONNREFUSED";
  const first = await place.divert(["127.0.0.5", "--refuse"]);
  assertEquals(await isRefused(), true);
  await first.end("SIGKILL");
  await eventually("what was refused has gone with the front", async () => !(await isRefused()));
  // Without its engine the front starts another one.
  const second = await place.divert(["127.0.0.5", "--refuse"]);
  Deno.kill(await engineOf(second.pid), "SIGKILL");
  await second.untilLine("connects are ");
  assertEquals(await isRefused(), true);
  const { code, stderr } = await second.end();
  assertEquals(code, 0);
  assertMatch(stderr, /killed by signal 9/);
  assertEquals(await isRefused(), false);
});

/** Holds what is in force, as an engine that a system call keeps does. */
const LEFT_BEHIND = (cgroup: string) => `
import { recordArmed, keepJournal } from "${new URL("../../src/front/journal.ts", import.meta.url)}";
import { Shared } from "${new URL("../../src/front/shared.ts", import.meta.url)}";
import { Diversion } from "${new URL("../../src/attach/diversion.ts", import.meta.url)}";
import { compileSelection } from "${new URL("../../src/select/compile_selection.ts", import.meta.url)}";
const shared = new Shared(Shared.create());
keepJournal(shared);
const selection = { dst: "127.0.0.5", cgroup: "${cgroup}" };
const old = new Diversion(selection, compileSelection(selection), { refuse: {} });
old.arm();
// Another process takes its place, and ends; the old one's descriptors stay.
keepJournal(shared);
const next = new Diversion(selection, compileSelection(selection), { refuse: {} });
next.arm();
next.close();
console.log("ended");
setTimeout(() => old.close(), 1e6);
await new Promise(() => {});`;

divertTest(
  "what a process holds that is stuck in the kernel is ended by the one that takes its place",
  [],
  async (place) => {
    await serve(place);
    const script = [Deno.execPath(), "eval", "--quiet", LEFT_BEHIND(place.cgroup.path)];
    const child = place.netns.spawn(script, { ...place.inside(), env: { DENO_NO_UPDATE_CHECK: "1" } });
    await using stuck = new Dialogue(child, "deno");
    assertEquals(await stuck.line(), "ended");
    assertEquals(await connect(place, "127.0.0.5 8000"), "127.0.0.5 8000");
  },
);

divertTest("two at once, of which each ends by itself", [], async (place) => {
  await using inner = await Cgroup.create("inner", place.cgroup);
  await serve(place, 8000, 9000);
  const targets = ["127.0.0.5 8000", "127.0.0.5 9000"];
  const found = () => connects(place, targets, { cgroup: inner });
  const refused = await place.divert(["127.0.0.5", "9000", "--refuse"]);
  const redirected = await place.divert(["127.0.0.5", "8000", "--redirect", "127.0.0.6"]);
  assertEquals(await found(), ["127.0.0.6 8000", "ECONNREFUSED"]);
  const innermost = await place.divert(["127.0.0.5", "8000", "--redirect", "127.0.0.7"], inner);
  assertEquals(await found(), ["127.0.0.7 8000", "ECONNREFUSED"]);
  await refused.end();
  assertEquals(await found(), ["127.0.0.7 8000", "127.0.0.5 9000"]);
  await innermost.end();
  assertEquals(await found(), ["127.0.0.6 8000", "127.0.0.5 9000"]);
  await redirected.end();
  assertEquals(await found(), targets);
});

divertTest("a pin outlives it, until it is removed", [], async (place) => {
  await serve(place);
  const refuse = ["127.0.0.5", "8000", "--cgroup", place.cgroup.path, "--refuse", "--pin", "some"];
  const pinned = await place.tcphup(refuse, { code: 0 });
  assertMatch(pinned.stdout, /^connects are refused \(ECONNREFUSED\) in .*, as some, until "tcphup unpin some"$/m);
  assertEquals(await connects(place, ["127.0.0.5 8000", "::ffff:127.0.0.5 8000"]), ["ECONNREFUSED", "ECONNREFUSED"]);
  const redirect = ["127.0.0.6", "--cgroup", place.cgroup.path, "--redirect", "127.0.0.7"];
  await place.tcphup([...redirect, "--pin", "other"], { code: 0 });
  assertEquals(await connect(place, "127.0.0.6 8000"), "127.0.0.7 8000");
  const listed = await place.tcphup(["ls", "--pinned"], { code: 0 });
  assertMatch(listed.stdout, /^some +\S+ +dst 127\.0\.0\.5 dport 8000 +refused \(ECONNREFUSED\) +20/m);
  assertMatch(listed.stdout, /^other +\S+ +dst 127\.0\.0\.6 +redirected to 127\.0\.0\.7 +20/m);
  assertMatch(listed.stdout, /^to 127\.0\.0\.5:8000 +2 +20/m);
  const [other, some] = (await place.tcphup(["ls", "--pinned", "--json"])).json<{ pinned: Pinned[] }>().pinned;
  assertEquals([other?.connects[0]?.count, some?.connects[0]?.count, some?.attached], [1, 2, true]);
  const ageMs = Date.now() - Date.parse(some!.connects[0]!.last_at);
  assert(ageMs > -1000 && ageMs < 600_000, `${ageMs}`);
  // The same again is no error; something else under that name is one, and changes nothing.
  await place.tcphup(refuse, { code: 0 });
  assertUsageError(await place.tcphup([...redirect, "--pin", "some"]), /"some" is pinned already/);
  await place.tcphup(["unpin", "some"], { code: 0 });
  await place.tcphup(["unpin", "other"], { code: 0 });
  await eventually("the programs have gone", async () => await connect(place, "127.0.0.5 8000") === "127.0.0.5 8000");
  assertEquals(await connect(place, "127.0.0.6 8000"), "127.0.0.6 8000");
  assertEquals((await place.tcphup(["ls", "--pinned"])).stdout, "nothing is pinned\n");
});

interface Pinned {
  attached: boolean;
  connects: { count: number; last_at: string }[];
}

divertTest("nothing is in force that a guard has refused, nor in a dry run; --json", [], async (place) => {
  const server = await serve(place);
  const client = Peer.start(place.netns, place.inside(place.cgroup));
  const open = await client.connect("127.0.0.5", 8000, { count: 2 });
  await server.serving(2);
  const args = ["127.0.0.5", "8000", "--cgroup", place.cgroup.path, "--json", "--refuse"];
  const guarded = await place.tcphup([...args, "--max", "1"], { code: 3 });
  assertEquals(guarded.json().diversion?.in_force, false);
  const dry = await place.tcphup([...args, "--dry-run"], { code: 0 });
  const { matched, would_act, diversion } = dry.json();
  const { since: _since, ...rest } = diversion!;
  assertEquals([matched, would_act], [2, 2]);
  const { path } = place.cgroup;
  const nothing = { in_force: false, count: 0, last_at: null, connects: [] };
  assertEquals(rest, { op: "refuse", to: [], errno: "ECONNREFUSED", cgroups: [path], pin: null, ...nothing });
  await place.tcphup([...args, "--dry-run", "--pin", "some"], { code: 0 });
  await open.assertAlive();
  assertEquals(await connect(place, "127.0.0.5 8000"), "127.0.0.5 8000");
  assertEquals((await place.tcphup(["ls", "--pinned"])).stdout, "nothing is pinned\n");
  const done = await place.tcphup([...args.slice(0, -1), "--redirect", "127.0.0.6", "1s", "--max", "2"], { code: 0 });
  const { hung_up, diversion: redirected } = done.json();
  assertEquals([hung_up, redirected?.in_force, redirected?.to], [2, true, ["127.0.0.6"]]);
});

divertTest("a control group that goes ends it", [], async (place) => {
  const gone = await Cgroup.create("gone", place.cgroup);
  const diverting = await place.divert(["any", "--refuse"], gone);
  await Deno.remove(gone.directory);
  const { code, stderr } = await diverting.end(null);
  assertEquals([code, stderr], [
    1,
    `tcphup: the control group ${gone.path} has gone, and what was in force there with it\n`,
  ]);
});

divertTest("what connect(2) cannot know, and addresses that do not agree, are refused", [], async (place) => {
  const cgroup = ["--cgroup", place.cgroup.path];
  const refuse: [string[], RegExp][] = [
    [["any", "--comm", "x"], /--refuse cannot go by --comm: when connect\(2\) is called, the kernel tells the peer's/],
    [["any", "--state", "established"], /--state/],
    [["any", "--idle-for", "5m"], /--idle-for/],
    [["any", "--stalled"], /--stalled/],
    [["any", "--sport", "5000"], /--sport/],
    [["any", "--src", "10.0.0.1"], /--src/],
    [["any", "--pid", "1"], /--pid/],
    [["-f", "src 10.0.0.1"], /src of a filter/],
    [["any", "-f", "sport = :5000"], /sport of a filter/],
    [["any", ...cgroup, "--pin", "a/b"], /cannot be the name of a pin/],
    [["any", ...cgroup, "--netns", "no-such"], /No network namespace "no-such"/],
    [["any", "--cgroup", "no-such-group"], /No cgroup "no-such-group" in cgroup v2/],
    [[], /No connections selected/],
  ];
  for (const [args, says] of refuse) assertUsageError(await place.tcphup([...args, "--refuse"]), says);
  const redirect: [string[], RegExp][] = [
    [["10.0.0.5", "--redirect", "2001:db8::6"], /none of the selected addresses is of its family/],
    [
      ["any", "--not", "--dst", "10.0.0.6", "--redirect", "10.0.0.6"],
      /IPv6 addresses are selected too.*an IPv6 address as well, or -4/,
    ],
    [
      ["10.0.0.0/24", "--redirect", "10.0.0.6"],
      /"10.0.0.6", which is selected itself: leave it out with --not --dst 10\.0\.0\.6/,
    ],
    [["10.0.0.5", "--redirect", "10.0.0.6", "--redirect", "10.0.0.7"], /cannot go to both/],
    [["10.0.0.5", "--redirect", "db.internal"], /Not an address to connect to: "db.internal"/],
    [["10.0.0.5", "--redirect", "10.0.0.6", "5432"], /may mean a time or PORT: expected --redirect 10\.0\.0\.6 5432s/],
    [["10.0.0.5", "--redirect", "10.0.0.6", "--refuse"], /--refuse and --redirect cannot be used together/],
    [["10.0.0.5", "--refuse", "--no-bpf"], /--refuse and --no-bpf cannot be used together: it is done with BPF/],
    [["10.0.0.5", "--refuse", "5432"], /may mean a time or PORT: expected --refuse=5432s/],
    [["10.0.0.5", "--refuse", "1m", "--pin", "x"], /--pin and --refuse cannot be used together/],
    [["10.0.0.5", "--pin", "x"], /--pin needs --refuse or --redirect/],
  ];
  for (const [args, says] of redirect) assertUsageError(await place.tcphup([...args, ...cgroup]), says);
});

systemTest("--refuse says what it lacks, exit 4, and touches nothing", [...NEEDS, "setpriv"], async (netns) => {
  await using place = await Place.make(netns);
  const server = await serve(place);
  const client = Peer.start(place.netns, place.inside(place.cgroup));
  const open = await client.connect("127.0.0.5", 8000);
  await server.serving(1);
  const args = ["127.0.0.5", "--refuse", "--cgroup", place.cgroup.path];
  const attempt = async (says: RegExp, options: Parameters<Place["tcphup"]>[1]) =>
    assertOneLine(await place.tcphup(args, { ...options, code: 4 }), says);
  await attempt(/needs CAP_BPF and CAP_NET_ADMIN$/m, { without: ["bpf", "net_admin", "sys_admin"] });
  await attempt(/needs CAP_NET_ADMIN$/m, { without: ["net_admin", "sys_admin"] });
  const denied = [...withoutSyscall("bpf", "ENOSYS"), ...TCPHUP];
  await attempt(/This kernel, or a seccomp filter, has no bpf\(2\)/, { command: denied });
  await using bare = await Place.make(netns, { cgroup: false });
  await attempt(/cgroup v2 is not mounted here/, bare.inside());
  await open.assertAlive();
});

divertTest("real clients: curl and redis-cli", ["nginx", "redis-server", "curl"], async (place) => {
  const { netns } = place;
  const web = "server { listen 127.0.0.6:8080; location / { return 200 hello; } }";
  await using _nginx = await nginx(netns, "127.0.0.6:8080", web);
  await using _redis = await redis(netns, "127.0.0.6");
  const inside = place.inside(place.cgroup);
  const curl = () => netns.run(["curl", "--silent", "--show-error", "http://127.0.0.5:8080/"], inside);
  const ping = () => netns.run(["redis-cli", "-h", "127.0.0.5", "ping"], inside);
  const redirected = await place.divert(["127.0.0.5", "--redirect", "127.0.0.6"]);
  assertEquals([(await curl()).stdout, (await ping()).stdout], ["hello", "PONG\n"]);
  await redirected.end();
  await using _refused = await place.divert(["127.0.0.6", "--refuse"]);
  const refused = await netns.run(["redis-cli", "-h", "127.0.0.6", "ping"], inside);
  assertMatch(refused.stdout + refused.stderr, /Connection refused/);
  assertMatch((await curl()).stderr, /Couldn't connect|Failed to connect|refused/);
});

/** A client that resolved its server once, and connects anew for each request. */
const JAVA = `
import java.net.*;
public class Client {
  public static void main(String[] args) throws Exception {
    InetAddress address = InetAddress.getByName(args[0]);
    for (int c = System.in.read(); c >= 0; c = System.in.read()) {
      try (Socket socket = new Socket(address, 8000)) {
        System.out.println(socket.getRemoteSocketAddress());
      } catch (ConnectException e) {
        System.out.println(e.getMessage());
      }
    }
  }
}`;

divertTest("a JVM, whose sockets are IPv6 ones", ["javac"], async (place) => {
  await serve(place);
  using directory = new Directory();
  await Deno.writeTextFile(`${directory.path}/Client.java`, JAVA);
  const java = ["java", `${directory.path}/Client.java`, "127.0.0.5"];
  await using client = new Dialogue(place.netns.spawn(java, place.inside(place.cgroup)), "java");
  const request = async () => {
    await client.tell("");
    return await client.line();
  };
  assertEquals(await request(), "/127.0.0.5:8000");
  const refused = await place.divert(["127.0.0.5", "8000", "--refuse"]);
  assertMatch(await request(), /^Connection refused/);
  await refused.end();
  await using redirected = await place.divert(["127.0.0.5", "8000", "--redirect", "127.0.0.6"]);
  // Java names the address that it has asked for.
  assertEquals(await request(), "/127.0.0.5:8000");
  assertMatch((await redirected.end()).stdout, /^redirected 1 connect,/);
  await client.end();
});

systemTest("doctor tries to refuse connects", NEEDS, async (netns) => {
  await using place = await Place.make(netns);
  const line = (text: string) => text.split("\n").find((line) => line.includes("BPF: refuse or redirect"))!;
  const inside = { within: place.inside(place.cgroup).within };
  assertMatch(line((await place.tcphup(["doctor"], inside)).stdout), /^ok .*: works$/);
  await using bare = await Place.make(netns, { cgroup: false });
  const without = await bare.tcphup(["doctor"]);
  assertMatch(line(without.stdout), /^limited .*cgroup v2 is not mounted here/);
  assert(without.stdout.includes("affects: hup --refuse, hup --redirect"));
});

/** Starts `tcphup follow` of a file of live addresses, with a control group. */
function follow(place: Place, path: string, args: readonly string[]): Attached {
  const words = [
    "follow",
    "--live-file",
    path,
    "8000",
    "--every=100ms",
    "--after=500ms",
    "--cgroup",
    place.cgroup.path,
  ];
  return new Attached(place.netns.spawn([...TCPHUP, ...words, ...args], place.inside()));
}

/** Writes a file of live addresses, as a whole. */
async function writeLive(path: string, ...addresses: string[]): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, addresses.map((address) => `${address}\n`).join(""));
  await Deno.rename(`${path}.new`, path);
}

divertTest("a cgroup namespace that hides the others: it says what is left out", [], async (place) => {
  const { within } = place.inside(place.cgroup);
  const script = 'umount --all --lazy --types cgroup2 && mount -t cgroup2 cgroup2 /mnt && exec "$@"';
  const apart = ["unshare", "--cgroup", "--mount", "sh", "-c", script, "sh"];
  for (const how of [["--refuse"], ["--redirect", "127.0.0.6"]]) {
    const run = await place.tcphup(["127.0.0.5", ...how, "--dry-run"], { within: [...within, ...apart], code: 1 });
    assertOneLine(run, /left out what is outside of this container.* is not mounted in it$/m);
  }
});

divertTest("follow refuses what has left, as long as it is out", [], async (place) => {
  const server = await serve(place);
  using directory = new Directory();
  const path = `${directory.path}/live`;
  await writeLive(path, "127.0.0.5", "2001:db8::5");
  const client = Peer.start(place.netns, place.inside(place.cgroup));
  const open = await client.connect("127.0.0.5", 8000, { reconnect: true });
  await server.serving(1);
  const following = follow(place, path, ["--refuse"]);
  await following.untilLine("following ");
  await writeLive(path, "127.0.0.6", "2001:db8::5");
  assertEquals(await following.untilLine("connects "), "connects to 127.0.0.5 are refused");
  await eventually("the client is refused", async () => (await open.seen())[0]?.ends.join() === "EOF,ECONNREFUSED");
  const targets = ["127.0.0.5 8000", "127.0.0.6 8000", "2001:db8::5 8000"];
  assertEquals(await connects(place, targets), ["ECONNREFUSED", ...targets.slice(1)]);
  await writeLive(path, "127.0.0.5", "127.0.0.6", "2001:db8::5");
  await following.untilLine("returned: 127.0.0.5");
  assertEquals(await connects(place, targets), targets);
  const { code, stdout } = await following.end();
  assertEquals(code, 0);
  assertMatch(stdout, /, kept 2 connects away$/m);
});

divertTest("follow redirects what has left to what is live, of the same family", [], async (place) => {
  await serve(place);
  using directory = new Directory();
  const path = `${directory.path}/live`;
  await writeLive(path, "127.0.0.5", "127.0.0.6", "2001:db8::5");
  const following = follow(place, path, ["--redirect", "live"]);
  await following.untilLine("following ");
  await writeLive(path, "127.0.0.6", "2001:db8::5");
  assertMatch(await following.untilLine("connects "), /^connects to 127\.0\.0\.5 are redirected to 127\.0\.0\.6/);
  const targets = ["127.0.0.5 8000", "::ffff:127.0.0.5 8000", "2001:db8::5 8000"];
  assertEquals(await connects(place, targets), ["127.0.0.6 8000", "::ffff:127.0.0.6 8000", "2001:db8::5 8000"]);
  // What is live leaves too, and something else takes its place.
  await writeLive(path, "127.0.0.7", "2001:db8::5");
  await eventually(
    "it goes to the new address",
    async () => (await connect(place, "127.0.0.5 8000")) === "127.0.0.7 8000",
  );
  assertEquals((await following.end()).code, 0);
  assertEquals(await connects(place, targets), targets);
});

divertTest("what follow refuses at its start", [], async (place) => {
  const file = await Deno.makeTempFile({ prefix: "tcphup-test-" });
  const cases: [string[], RegExp][] = [
    [["--refuse=5s"], /--refuse takes no time in follow/],
    [["--redirect", "10.0.0.6"], /Not where connects can go in follow: "10.0.0.6": expected --redirect live/],
    [["--redirect", "live", "--refuse"], /--refuse and --redirect cannot be used together/],
    [["--refuse", "--comm", "x"], /--refuse cannot go by --comm/],
  ];
  for (const [args, says] of cases) {
    assertUsageError(await place.tcphup(["follow", "--live-file", file, ...args]), says);
  }
  const denied = { without: ["bpf", "net_admin", "sys_admin"] };
  const args = ["follow", "--live-file", file, "--refuse", "--cgroup", place.cgroup.path];
  await place.tcphup(args, { ...denied, code: 4 });
  await Deno.remove(file);
});
