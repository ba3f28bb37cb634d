// tcphup keepalive --attach: connections have the values from the moment they are made, while it runs and no longer.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Place } from "../harness/attach.ts";
import { Cgroup, CGROUP_ROOT } from "../harness/cgroup.ts";
import { DEFAULTS, UNTOUCHED } from "../harness/keepalive.ts";
import { Lines } from "../harness/lines.ts";
import { type Connections, Peer, python } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertNoStackTrace, assertOneLine, assertUsageError } from "../harness/scene.ts";
import { nginx } from "../harness/servers.ts";
import { withoutSyscall } from "../harness/syscalls.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { engineOf, PublicCopy, Running, TCPHUP } from "../harness/tcphup.ts";

const NEEDS: Need[] = ["cgroup v2", "unshare"];

/** A server and a client in a place, in a control group of which both are. */
async function application(place: Place, cgroup = place.cgroup): Promise<{ server: Peer; client: Peer }> {
  const server = Peer.start(place.netns, place.inside(cgroup));
  await server.listen("::", 8000);
  await server.listen("::", 9000);
  return { server, client: Peer.start(place.netns, place.inside(cgroup)) };
}

function attachTest(name: string, needs: readonly Need[], body: (place: Place) => Promise<void>): void {
  systemTest(`keepalive --attach: ${name}`, [...NEEDS, ...needs], async (netns) => {
    await using place = await Place.make(netns);
    await body(place);
  });
}

/** Which of the connections have keepalive on. */
async function enabled(connections: Connections): Promise<boolean[]> {
  return (await connections.keepalive()).map(({ enabled }) => enabled);
}

attachTest("both ends, both families, open and new, until interrupted", ["IPv6"], async (place) => {
  const { server, client } = await application(place);
  const before = await client.connect("127.0.0.2", 8000);
  await server.serving(1);
  const attached = await place.attachEverywhere(["any"]);
  assertEquals(await before.keepalive(), [DEFAULTS]);
  for (const [i, address] of ["127.0.0.2", "::1", "::ffff:127.0.0.2"].entries()) {
    assertEquals(await (await client.connect(address, 8000)).keepalive(), [DEFAULTS], address);
    assertEquals(await (await server.serving(i + 2)).keepalive(), Array(i + 2).fill(DEFAULTS), address);
  }
  assertEquals(await attached.end("SIGINT"), { code: 0, stdout: "", stderr: "" });
  const after = await client.connect("127.0.0.2", 8000);
  assertEquals(await after.keepalive(), [UNTOUCHED]);
});

attachTest("--only-new leaves alone what is open", [], async (place) => {
  const { client } = await application(place);
  const before = await client.connect("127.0.0.2", 8000);
  const attached = await place.attachEverywhere(["any", "--only-new"]);
  assertEquals(await before.keepalive(), [UNTOUCHED]);
  assertEquals(await (await client.connect("127.0.0.2", 8000)).keepalive(), [DEFAULTS]);
  assertEquals(await attached.end(), { code: 0, stdout: "", stderr: "" });
  const dry = await place.tcphup(["keepalive", "any", "--attach", "--only-new", "--dry-run", "--json"]);
  assertEquals(dry.json().matched, 0);
});

attachTest(
  "in a cgroup namespace: the host's root where it is mounted, else it says so",
  [],
  async (place) => {
    const attempt = async (mounts: string, code: number) => {
      const script = `${mounts} && mount -t cgroup2 cgroup2 /mnt && exec "$@"`;
      const { within } = place.inside(place.cgroup);
      const apart = ["unshare", "--cgroup", "--mount", "sh", "-c", script, "sh"];
      const args = ["keepalive", "any", "--attach", "--only-new", "--dry-run"];
      return await place.tcphup(args, { within: [...within, ...apart], code });
    };
    const alone = await attempt("umount --all --lazy --types cgroup2", 1);
    assertOneLine(alone, /left out what is outside of this container.* is not mounted in it$/m);
    const both = await attempt(`mount --bind -o ro ${CGROUP_ROOT} /opt && umount --lazy ${CGROUP_ROOT}`, 0);
    assertEquals([both.stdout, both.stderr], ["would attach to the root of cgroup v2\n", ""]);
  },
);

attachTest("each value, and keepalive off", [], async (place) => {
  const { client } = await application(place);
  const values = "--idle 20 --interval 5 --count 2 --user-timeout 99s --window-clamp 20000";
  const attached = await place.attach(["any", ...values.split(" ")]);
  const wanted = { enabled: true, idle_s: 20, interval_s: 5, count: 2, user_timeout_ms: 99_000 };
  assertEquals(await (await client.connect("127.0.0.2", 8000)).keepalive(), [wanted]);
  await attached.end();
  await using _off = await place.attach(["any", "--off"]);
  assertEquals(await (await client.connect("127.0.0.2", 8000)).keepalive(), [UNTOUCHED]);
});

/** What a program that has decided for itself before it connects finds afterwards. */
const CHOOSY = `
import socket
def find(*options):
    sock = socket.socket()
    for option in options: sock.setsockopt(*option)
    sock.connect(("127.0.0.2", 8000))
    get = lambda level, name: sock.getsockopt(level, name)
    return [get(1, 9), get(6, 4), get(6, 18)]
print([find((1, 9, 1), (6, 4, 99)), find((6, 18, 7777)), find()])
`;

attachTest("--only-missing leaves what an application has chosen", [], async (place) => {
  await application(place);
  const found = async () => {
    const { stdout } = await place.netns.run(python(CHOOSY), place.inside(place.cgroup));
    return JSON.parse(stdout);
  };
  await using _first = await place.attach(["any", "--only-missing"]);
  const chosen = [[1, 99, 0], [1, 15, 7777], [1, 15, 150_000]];
  assertEquals(await found(), chosen);
  // A second one does not take for the application's what the first one has set.
  const second = await place.attach(["any", "--only-missing", "--idle", "30", "--user-timeout", "60s"]);
  assertEquals(await found(), [[1, 99, 0], [1, 30, 7777], [1, 30, 60_000]]);
  await second.end();
  await using _third = await place.attach(["any"]);
  assertEquals(await found(), [[1, 15, 150_000], [1, 15, 150_000], [1, 15, 150_000]]);
});

attachTest("what the kernel can tell narrows it", ["IPv6"], async (place) => {
  const { server, client } = await application(place);
  const file = await Deno.makeTempFile({ prefix: "tcphup-test-" });
  await Deno.writeTextFile(file, [...Array(3000).keys()].map((i) => `10.9.${i >> 8}.${i & 255}\n`).join("") + "::1\n");
  const targets = [["127.0.0.2", 8000], ["127.0.0.3", 9000], ["::1", 8000], ["::ffff:127.0.0.4", 9000]] as const;
  let count = 0;
  /** Whether keepalive is on for each target, at the client's ends and at the server's. */
  const made = async () => {
    const ports = [];
    const found: boolean[] = [];
    for (const [address, port] of targets) {
      const connection = await client.connect(address, port);
      found.push(...await enabled(connection));
      ports.push(...connection.ports);
    }
    count += targets.length;
    const serving = await server.serving(count);
    for (const port of ports) found.push(...await enabled(serving.only([port])));
    return found.map((one) => one ? "x" : ".").join("");
  };
  const cases: [string[], string][] = [
    [["127.0.0.2"], "x......."],
    [["127.0.0.2", "9000"], "........"],
    [["127.0.0.0/8"], "xx.xxx.x"],
    [["::/0"], "..x...x."],
    [["any", "9000"], ".x.x...."],
    [["any", "--sport", "8500-9000"], ".....x.x"],
    [["any", "--src", "127.0.0.3"], ".....x.."],
    [["any", "-4"], "xx.xxx.x"],
    [["any", "-6"], "..x...x."],
    [["--dst-file", file], "..x...x."],
    [["any", "--not", "--dst", "127.0.0.0/30"], "..xx..x."],
    [["-f", "dst 127.0.0.0/30 and not dport = :9000 or sport = :9000"], "x...xx.x"],
    [["any", "--listeners"], "....xxxx"],
    [["any", "--outgoing"], "xxxx...."],
    [["any", "--user", "0"], "xxxxxxxx"],
    [["any", "--user", "65534"], "........"],
    [["any", "--netns", place.netns.name], "xxxxxxxx"],
    [["any", "--netns", `${Deno.pid}`], "........"],
    [["any", "--not", "--netns", place.netns.name], "........"],
  ];
  for (const [args, expected] of cases) {
    await using _attached = await place.attach(args);
    assertEquals(await made(), expected, args.join(" "));
  }
  await Deno.remove(file);
});

attachTest("--pid and --container name control groups too", [], async (place) => {
  const id = Cgroup.uniqueContainerId();
  await using container = await Cgroup.create(id, place.cgroup);
  const { client } = await application(place, container);
  for (const flags of [["--pid", `${client.pid}`], ["--container", id.slice(0, 12)]]) {
    const run = await place.tcphup(["keepalive", "any", "--dry-run", "--attach", ...flags], { code: 0 });
    assertMatch(run.stdout, new RegExp(`would attach to the control group ${container.path}$`, "m"));
  }
});

attachTest("of several the more special one wins, then the later one", [], async (place) => {
  await using inner = await Cgroup.create("inner", place.cgroup);
  const { client } = await application(place, inner);
  const idle = async (address = "127.0.0.2") => (await (await client.connect(address, 8000)).keepalive())[0]?.idle_s;
  await using _inner = await place.attachEverywhere(["any", "--idle", "21"], inner);
  await using _outer = await place.attachEverywhere(["127.0.0.2", "--idle", "22"]);
  assertEquals(await idle(), 21, "the innermost group, although attached first and broader");
  await using _prefix = await place.attachEverywhere(["127.0.0.0/24", "--idle", "23"], inner);
  await using _broad = await place.attachEverywhere(["127.0.0.0/8", "--idle", "24"], inner);
  assertEquals(await idle(), 23, "the longest prefix, although another one was attached later");
  assertEquals(await idle("127.9.0.1"), 24);
  // A network namespace would count as a condition, so this is about all of them.
  await using _port = await place.attachEverywhere(["127.0.0.0/24", "8000", "--idle", "25"], inner);
  assertEquals(await idle(), 25, "a port beside the same prefix");
  const last = await place.attachEverywhere(["127.0.0.0/24", "8000", "--idle", "26"], inner);
  assertEquals(await idle(), 26, "the same again, later");
  await last.end();
  assertEquals(await idle(), 25);
});

attachTest("SIGKILL of either process leaves nothing behind", [], async (place) => {
  const { client } = await application(place);
  const isSet = async () => (await enabled(await client.connect("127.0.0.2", 8000)))[0];
  const first = await place.attach(["any"]);
  assertEquals(await isSet(), true);
  await first.end("SIGKILL");
  await eventually("what was attached has gone with the front", async () => !(await isSet()));
  // Without its engine the front starts another one.
  const second = await place.attach(["any"]);
  Deno.kill(await engineOf(second.pid), "SIGKILL");
  await second.untilAttached();
  assertEquals(await isSet(), true);
  const { code, stderr } = await second.end();
  assertEquals(code, 0);
  assertMatch(stderr, /killed by signal 9/);
  assertEquals(await isSet(), false);
});

/** Attaches as an engine that a system call keeps, and as the one that takes its place. */
const LEFT_BEHIND = (cgroup: string) => `
import { keepJournal } from "${new URL("../../src/front/journal.ts", import.meta.url)}";
import { Shared } from "${new URL("../../src/front/shared.ts", import.meta.url)}";
import { attachKeepalive } from "${new URL("../../src/attach_keepalive.ts", import.meta.url)}";
const shared = new Shared(Shared.create());
const attach = async (idleS) => {
  keepJournal(shared);
  return await attachKeepalive({ dst: "any", cgroup: "${cgroup}" }, { values: { idleS } }, { onlyNew: true });
};
const old = await attach(20);
const next = await attach(30);
console.log(old.isAttached, next.isAttached);
next.close();
console.log("ended");
await new Promise((resolve) => setTimeout(resolve, 1e6));`;

attachTest("what a process has attached that is stuck goes with the one that takes its place", [], async (place) => {
  const { client } = await application(place);
  const script = [Deno.execPath(), "eval", "--quiet", LEFT_BEHIND(place.cgroup.path)];
  const child = place.netns.spawn(script, { ...place.inside(), env: { DENO_NO_UPDATE_CHECK: "1" } });
  await using lines = new Lines(child.stdout);
  assertEquals(await lines.next(2), ["false true", "ended"]);
  assertEquals(await (await client.connect("127.0.0.2", 8000)).keepalive(), [UNTOUCHED]);
  child.kill("SIGKILL");
});

attachTest("a control group that goes ends it", [], async (place) => {
  const gone = await Cgroup.create("gone", place.cgroup);
  const attached = await place.attach(["any"], gone);
  await Deno.remove(gone.directory);
  const { code, stderr } = await attached.end(null);
  assertEquals([code, stderr], [1, `tcphup: the control group ${gone.path} has gone, and what was attached with it\n`]);
});

attachTest("a real server", ["nginx"], async (place) => {
  const web = "server { listen 127.0.0.2:8080; location / { return 200 hello; } }";
  const { netns } = place;
  await using _nginx = await nginx(netns, "127.0.0.2:8080", web, place.inside(place.cgroup));
  await using _attached = await place.attach(["any", "--listeners", "--sport", "8080"]);
  const client = Peer.start(netns);
  const connections = await client.connect("127.0.0.2", 8080, { count: 2 });
  await connections.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const sockets = await netns.ss("-o", "sport", "=", ":8080");
  assertEquals(sockets.length, 2);
  for (const line of sockets) assertMatch(line, /timer:\(keepalive,/);
});

attachTest("--json, --json-lines and --dry-run", [], async (place) => {
  const { client } = await application(place);
  const before = await client.connect("127.0.0.2", 8000);
  const { path } = place.cgroup;
  const args = ["keepalive", "any", "8000", "--cgroup", path, "--attach"];
  const dry = await place.tcphup([...args, "--dry-run", "--json"], { code: 0 });
  const { attached, would_act, connections } = dry.json<Record<string, unknown>>();
  assertEquals([would_act, (connections as unknown[]).length], [1, 1]);
  const { since: _since, ...rest } = attached as Record<string, unknown>;
  const zero = { syncnt: 0, maxseg: 0, window_clamp: 0, defer_accept_s: 0 };
  assertEquals(rest, {
    name: null,
    schema: 1,
    cgroups: [path],
    selection: { dst: ["any"], dport: ["8000"], cgroup: [path] },
    values: { idle_s: 15, interval_s: 15, count: 9, user_timeout_ms: 150_000, ...zero },
    only_missing: false,
    direction: null,
    counters: [],
  });
  assertEquals(await before.keepalive(), [UNTOUCHED]);
  assertEquals(await (await client.connect("127.0.0.2", 8000)).keepalive(), [UNTOUCHED]);
  // The document comes at the end, with what was made meanwhile; lines come at once.
  const running = new Running([...args, "--json"], { netns: place.netns, ...place.inside() });
  await eventually("it is attached", async () => (await enabled(await client.connect("127.0.0.2", 8000)))[0]);
  await eventually("it has set what was open", async () => (await enabled(before))[0]);
  running.kill("SIGTERM");
  const document = (await running.end()).json<{ keepalive_set: number; attached: { counters: { port: number }[] } }>();
  assert(document.keepalive_set >= 1);
  assertEquals(document.attached.counters.map(({ port }) => port), [8000]);
  const lines = new Running([...args, "--json-lines", "--idle", "20"], { netns: place.netns, ...place.inside() });
  await eventually("it has set what is open", async () => (await before.keepalive())[0]?.idle_s === 20);
  lines.kill("SIGTERM");
  const [line] = (await lines.end()).stdout.split("\n");
  assertEquals(JSON.parse(line!).outcome, "keepalive-set");
});

systemTest("keepalive --attach refuses what the kernel cannot tell then", NEEDS, async (netns) => {
  await using place = await Place.make(netns);
  const cgroup = ["--cgroup", place.cgroup.path];
  const cases: [string[], RegExp][] = [
    [["any", "--comm", "x"], /cannot go by --comm: when a connection is made, the kernel tells/],
    [["any", "--state", "established"], /--state/],
    [["any", "--idle-for", "5m"], /--idle-for/],
    [["any", "--interface", "lo"], /--interface/],
    [["any", "--mark", "1"], /--mark/],
    [["any", "--no-keepalive"], /--no-keepalive/],
    [["any", "--not", "--pid", "1"], /--not --pid/],
    [["any", "--pid", "1", "--children"], /--children/],
    [["-f", "autobound"], /autobound of a filter/],
    [["any", "-f", "state time-wait"], /states/],
    [["any", ...cgroup, "--container", "abc"], /one of --cgroup and --container/],
    [["any", ...cgroup, "--missing-ok"], /--missing-ok/],
    [["any", "--cgroup", "no-such-group"], /No cgroup "no-such-group" in cgroup v2/],
    [["any", "--pid", `${2 ** 30}`], /No process/],
    [["any", ...cgroup, "--watch"], /--attach and --watch/],
    [["any", ...cgroup, "--listeners", "--outgoing"], /--listeners and --outgoing/],
    [["any", ...cgroup, "--defer-accept", "3"], /--defer-accept/],
    [["any", ...cgroup, "--netns", "no-such"], /No network namespace "no-such"/],
    [["any", ...cgroup, "--pin", "a/b"], /cannot be the name of a pin/],
    [[...cgroup.slice(2)], /No connections selected/],
  ];
  for (const [args, says] of cases) assertUsageError(await place.tcphup(["keepalive", ...args, "--attach"]), says);
  for (const flag of ["--outgoing", "--only-new"]) {
    assertUsageError(await place.tcphup(["keepalive", "any", flag]), new RegExp(`${flag} needs --attach`));
  }
});

systemTest("keepalive --attach says what it lacks, exit 4", [...NEEDS, "setpriv"], async (netns) => {
  await using place = await Place.make(netns);
  const { client } = await application(place);
  const args = ["keepalive", "any", "--attach", "--cgroup", place.cgroup.path];
  const attempt = async (says: RegExp, options: Parameters<Place["tcphup"]>[1]) =>
    assertOneLine(await place.tcphup(args, { ...options, code: 4 }), says);
  await attempt(/needs CAP_BPF and CAP_NET_ADMIN$/m, { without: ["bpf", "net_admin", "sys_admin"] });
  await attempt(/needs CAP_BPF$/m, { without: ["bpf", "sys_admin"] });
  await attempt(/needs CAP_NET_ADMIN$/m, { without: ["net_admin", "sys_admin"] });
  const denied = (errno: string) => [...withoutSyscall("bpf", errno), ...TCPHUP];
  await attempt(/forbidden despite its capabilities, by a seccomp filter/, { command: denied("EPERM") });
  await attempt(/This kernel, or a seccomp filter, has no bpf\(2\)/, { command: denied("ENOSYS") });
  await using bare = await Place.make(netns, { cgroup: false });
  await attempt(/cgroup v2 is not mounted here/, bare.inside());
  assertEquals(await (await client.connect("127.0.0.2", 8000)).keepalive(), [UNTOUCHED]);
});

attachTest("--user without the kernel's types says so, exit 4", ["BTF"], async (place) => {
  const script = 'mount -t tmpfs tmpfs /sys/kernel/btf && exec "$@"';
  const within = [...place.inside().within, "unshare", "--mount", "sh", "-c", script, "sh"];
  const args = ["keepalive", "any", "--attach", "--cgroup", place.cgroup.path, "--only-new", "--dry-run"];
  const run = await place.tcphup([...args, "--user", "0"], { within, code: 4 });
  assertOneLine(run, /is found by \/sys\/kernel\/btf\/vmlinux, which cannot be read \(ENOENT\)/);
  await place.tcphup(args, { within, code: 0 });
});

attachTest("a low limit of locked memory, which older kernels hold programs to, is raised", [], async (place) => {
  const within = [...place.inside().within, "prlimit", "--memlock=0:0"];
  const args = ["keepalive", "any", "--attach", "--cgroup", place.cgroup.path, "--only-new", "--dry-run"];
  await place.tcphup(args, { within, code: 0 });
});

attachTest("an unprivileged user is told what it takes", ["setpriv"], async (place) => {
  await using copy = await PublicCopy.make();
  const run = await place.tcphup(["keepalive", "any", "--attach", "--only-new"], {
    user: 65_534,
    ...copy,
    ...place.inside(),
    code: 4,
  });
  assertOneLine(run, /BPF is denied: needs CAP_BPF and CAP_NET_ADMIN/);
});

systemTest("keepalive --attach takes two capabilities alone", [...NEEDS, "setpriv"], async (netns) => {
  await using place = await Place.make(netns);
  const { client } = await application(place);
  const all = Deno.readTextFileSync("/proc/self/status").match(/CapBnd:\t(\w+)/)![1];
  const others = [...Array(41).keys()].filter((i) => BigInt(`0x${all}`) >> BigInt(i) & 1n && ![12, 39].includes(i));
  const child = netns.spawn(
    [...TCPHUP, "keepalive", "any", "--attach", "--cgroup", place.cgroup.path],
    { ...place.inside(), without: others.map((i) => `cap_${i}`) },
  );
  await eventually("a new connection has it", async () => {
    return (await enabled(await client.connect("127.0.0.2", 8000)))[0];
  });
  child.kill("SIGTERM");
  assertEquals((await child.status).code, 0);
});

attachTest("a pin outlives it, until it is removed", [], async (place) => {
  const { client } = await application(place);
  const isSet = async () => (await enabled(await client.connect("127.0.0.2", 8000)))[0];
  const args = ["keepalive", "127.0.0.0/8", "--cgroup", place.cgroup.path, "--idle", "20"];
  const pinned = await place.tcphup([...args, "--pin", "some"], { code: 0 });
  assertMatch(pinned.stdout, /^attached to the control group .* as some: .*until "tcphup unpin some"$/m);
  assertEquals(await isSet(), true);
  const listed = await place.tcphup(["ls", "--pinned"], { code: 0 });
  assertMatch(listed.stdout, /^some +\S+ +dst 127\.0\.0\.0\/8 +20s\+9\*15s, user timeout 2 min 35 s +20/m);
  assertMatch(listed.stdout, /^to 127\.0\.0\.2:8000 +1 +0 +0$/m);
  const one = (await place.tcphup(["ls", "--pinned", "--json"])).json<{ pinned: Pinned[] }>().pinned[0]!;
  assertEquals([one.name, one.attached, one.settings.cgroups], ["some", true, [place.cgroup.path]]);
  const counter = { address: "127.0.0.2", port: 8000, set: 1, kept: 0, refused: 0 };
  assertEquals(one.counters.length, 2);
  assertEquals(
    one.counters.toSorted((a, b) => Number(a.accepted) - Number(b.accepted)),
    [false, true].map((accepted) => ({ accepted, ...counter })),
  );
  // The same again is no error; something else under that name is one, and changes nothing.
  await place.tcphup([...args, "--pin", "some"], { code: 0 });
  const other = await place.tcphup([...args, "--idle", "30", "--attach", "--pin", "some"]);
  assertUsageError(other, /"some" is pinned already, for something else: "tcphup unpin some" removes that/);
  assertEquals((await (await client.connect("127.0.0.2", 8000)).keepalive())[0]?.idle_s, 20);
  assertUsageError(await place.tcphup(["unpin", "nobody"]), /"nobody" is not pinned: there are some/);
  assertUsageError(await place.tcphup(["unpin"]), /No name given/);
  assertUsageError(await place.tcphup(["ls", "--pinned", "any"]), /--pinned lists no connections/);
  assertUsageError(await place.tcphup(["ls", "--pinned", "--dst", "any"]), /--pinned and --dst/);
  await place.tcphup(["unpin", "some"], { code: 0 });
  await eventually("the program has gone", async () => !(await isSet()));
  assertEquals((await place.tcphup(["ls", "--pinned"])).stdout, "nothing is pinned\n");
});

interface Pinned {
  name: string;
  attached: boolean;
  settings: { cgroups: string[] };
  counters: { accepted: boolean }[];
}

attachTest("two at once under one name: one is pinned", [], async (place) => {
  const args = (
    idle: number,
  ) => ["keepalive", "any", "--cgroup", place.cgroup.path, "--pin", "one", "--idle", `${idle}`];
  const runs = await Promise.all([20, 30].map((idle) => place.tcphup(args(idle))));
  assertEquals(runs.map(({ code }) => code).sort(), [0, 2]);
  const { pinned } = (await place.tcphup(["ls", "--pinned", "--json"])).json<{ pinned: Pinned[] }>();
  assertEquals(pinned.length, 1);
});

attachTest("a pin whose control group has gone, and one of another version", [], async (place) => {
  const gone = await Cgroup.create("gone", place.cgroup);
  await place.tcphup(["keepalive", "any", "--cgroup", gone.path, "--pin", "gone"], { code: 0 });
  await Deno.remove(gone.directory);
  const script = `
    import { createSettings } from "${new URL("../../src/bpf/pins.ts", import.meta.url)}";
    import { objPin } from "${new URL("../../ffi/bpf.ts", import.meta.url)}";
    objPin(createSettings({ schema: 0 }), "/sys/fs/bpf/tcphup/older");`;
  await place.run([Deno.execPath(), "eval", "--quiet", script]);
  const listed = await place.tcphup(["ls", "--pinned"], { code: 0 });
  assertMatch(listed.stdout, /^gone +\S+\/gone \(gone\) +any/m);
  assertMatch(listed.stdout, /^older +\? +made by another version of tcphup, or by another program/m);
  const again = await place.tcphup(["keepalive", "any", "--cgroup", place.cgroup.path, "--pin", "older"]);
  assertUsageError(again, /"older" is pinned already/);
  for (const name of ["gone", "older"]) await place.tcphup(["unpin", name], { code: 0 });
});

systemTest("keepalive --pin without a bpffs says how to mount one, and attaches nothing", NEEDS, async (netns) => {
  await using place = await Place.make(netns, { bpffs: false });
  const { client } = await application(place);
  for (
    const args of [["keepalive", "any", "--cgroup", place.cgroup.path, "--pin", "x"], ["ls", "--pinned"], [
      "unpin",
      "x",
    ]]
  ) {
    const run = await place.tcphup(args, { code: 4 });
    assertOneLine(run, /No bpffs is mounted here, which keeps what is pinned: mount -t bpf bpf \/sys\/fs\/bpf/);
  }
  assertEquals(await (await client.connect("127.0.0.2", 8000)).keepalive(), [UNTOUCHED]);
});

systemTest("doctor tries to attach", NEEDS, async (netns) => {
  await using place = await Place.make(netns);
  const line = (text: string) => text.split("\n").find((line) => line.includes("BPF: set keepalive"))!;
  assertMatch(line((await place.tcphup(["doctor"])).stdout), /^ok .*: works$/);
  await using bare = await Place.make(netns, { cgroup: false });
  const without = await bare.tcphup(["doctor"]);
  assertMatch(line(without.stdout), /^limited .*cgroup v2 is not mounted here/);
  assertNoStackTrace(without.stdout + without.stderr);
  assert(without.stdout.includes("affects: keepalive --attach"));
});
