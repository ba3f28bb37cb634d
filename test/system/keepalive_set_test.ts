// tcphup keepalive on live connections: what the applications find, and what ss sees of the timers.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { DEFAULTS, keepalive, keepaliveTimers, outcomes, reportOf, UNTOUCHED } from "../harness/keepalive.ts";
import { Namespace } from "../harness/namespace.ts";
import type { Health } from "../../src/doctor/check_host.ts";
import { type Connections, Peer } from "../harness/peer.ts";
import { eventually } from "../harness/process.ts";
import { assertOneLine, assertUsageError, DOOMED_PORT, KEPT_PORT, makePool, Scene } from "../harness/scene.ts";
import { haproxy, nginx, redis } from "../harness/servers.ts";
import { withoutSyscall } from "../harness/syscalls.ts";
import { type Need, systemTest } from "../harness/system.ts";
import { PublicCopy, Run, TCPHUP, tcphup, type TcphupOptions } from "../harness/tcphup.ts";

const PORT = `${DOOMED_PORT}`;
const TO_SERVER = ["127.0.0.2", PORT];

/** Runs `tcphup keepalive --json` in one of the two ways. */
type Way = (args: readonly string[]) => ReturnType<typeof keepalive>;

/**
 * Registers a test for either way to a socket's options: duplicates, and a pass in the kernel, which few connections get where
 * there is no right to duplicate.
 */
function bothWays(name: string, needs: readonly Need[], body: (netns: Namespace, way: Way) => Promise<void>): void {
  systemTest(`${name} (through duplicates)`, needs, async (netns) => {
    await body(netns, (args) => keepalive([...args, "--no-bpf"], { netns }));
  });
  const passing: Need[] = ["permission to use BPF", "BTF", "Linux 6.1", "setpriv"];
  systemTest(`${name} (in a pass)`, [...passing, ...needs], async (netns) => {
    await body(netns, (args) => keepalive(args, { netns, without: ["sys_ptrace"] }));
  });
}

bothWays("keepalive: the application finds the values, and nothing else is touched", [], async (netns, way) => {
  const { doomed, kept, server } = await Scene.make(netns);
  const report = await way(TO_SERVER);
  assertEquals(outcomes(report), { "keepalive-set": 3 });
  assertEquals([report.keepalive_set, report.unchanged, report.command], [3, 0, "keepalive"]);
  for (const { before, after, refused, error } of report.connections) {
    assertEquals({ before, after, refused, error }, { before: UNTOUCHED, after: DEFAULTS, refused: [], error: null });
  }
  assertEquals(await doomed.keepalive(), [DEFAULTS, DEFAULTS, DEFAULTS]);
  assertEquals(await kept.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
  assertEquals(await (await server.serving(6)).keepalive(), Array(6).fill(UNTOUCHED));
  for (const seconds of await keepaliveTimers(netns, "dst", `127.0.0.2:${PORT}`)) {
    assert(seconds !== null && seconds <= 15, `${seconds} s`);
  }
  await doomed.assertAlive();
  await kept.assertAlive();
});

bothWays("keepalive: each value, alone and together", [], async (netns, way) => {
  const { doomed } = await Scene.make(netns, { count: 1 });
  const after = async (...args: string[]) => {
    await way([...TO_SERVER, ...args]);
    return (await doomed.keepalive())[0]!;
  };
  assertEquals(await after("--idle", "20", "--interval", "5", "--count", "2"), {
    enabled: true,
    idle_s: 20,
    interval_s: 5,
    count: 2,
    user_timeout_ms: 30_000,
  });
  assertEquals(await after("--user-timeout", "99000ms"), { ...DEFAULTS, user_timeout_ms: 99_000 });
  const zero = ["--idle", "0", "--interval", "0", "--count", "0", "--user-timeout", "0"];
  assertEquals(await after(...zero), { ...DEFAULTS, user_timeout_ms: 99_000 });
  assertEquals((await after(...zero.slice(2), "--idle=33")).idle_s, 33);
  const { connections } = await way([...TO_SERVER, "--window-clamp", "20000"]);
  assertEquals(connections[0]?.after?.window_clamp, 20_000);
});

systemTest("keepalive: what has the values is unchanged, and not touched", ["strace"], async (netns) => {
  const { doomed } = await Scene.make(netns);
  assertEquals((await keepalive(TO_SERVER, { netns })).keepalive_set, 3);
  await doomed.only([doomed.ports[0]!]).setKeepalive({ idle_s: 99 });
  const again = await keepalive(TO_SERVER, { netns });
  assertEquals([again.keepalive_set, again.unchanged], [1, 2]);
  const strace = ["strace", "-f", "-qq", "-e", "trace=setsockopt,getsockopt", "-e", "signal=none"];
  const { code, stdout, stderr } = await netns.run([...strace, ...TCPHUP, "keepalive", ...TO_SERVER]);
  assertEquals(code, 0);
  assertMatch(stdout, /^set keepalive on 0 of 3 connections; 3 unchanged$/m);
  const calls = (pattern: RegExp) => stderr.split("\n").filter((line) => pattern.test(line)).length;
  assertEquals(calls(/\bgetsockopt\(\d+, SOL_TCP, TCP_KEEPIDLE/), 3);
  assertEquals(calls(/\bsetsockopt\(\d+, (SOL_TCP|SOL_SOCKET, SO_KEEPALIVE)/), 0);
});

bothWays("keepalive --off: the timer stops, the user timeout stays", [], async (netns, way) => {
  const { doomed } = await Scene.make(netns);
  await way(TO_SERVER);
  const report = await way([...TO_SERVER, "--off"]);
  assertEquals([report.keepalive_set, report.values], [3, null]);
  assertEquals(await doomed.keepalive(), Array(3).fill({ ...DEFAULTS, enabled: false }));
  assertEquals(await keepaliveTimers(netns, "dst", `127.0.0.2:${PORT}`), [null, null, null]);
  const run = await tcphup(["keepalive", ...TO_SERVER, "--off"], { netns });
  assertMatch(run.stdout, /^turned off keepalive on 0 of 3 connections; 3 unchanged$/m);
});

bothWays("keepalive --dry-run says what would be, and touches nothing", [], async (netns, way) => {
  const { doomed } = await Scene.make(netns);
  const report = await way([...TO_SERVER, "--dry-run", "--idle", "20"]);
  assertEquals([report.dry_run, report.would_act, report.keepalive_set], [true, 3, 0]);
  assertEquals(outcomes(report), { "would-set-keepalive": 3 });
  for (const { before, after } of report.connections) {
    assertEquals([before, after], [UNTOUCHED, { ...DEFAULTS, idle_s: 20, user_timeout_ms: 155_000 }]);
  }
  assertEquals(await doomed.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
  const run = await tcphup(["keepalive", ...TO_SERVER, "-n"], { netns });
  assertMatch(run.stdout, /^would set keepalive on 3 connections$/m);
});

bothWays("keepalive: IPv6, and IPv4 on a dual-stack socket", ["IPv6"], async (netns, way) => {
  const server = Peer.start(netns);
  await server.listen("::", DOOMED_PORT);
  const client = Peer.start(netns);
  const six = await client.connect("::1", DOOMED_PORT);
  const mapped = await client.connect("::ffff:127.0.0.1", DOOMED_PORT);
  assertEquals((await way(["::1", PORT])).keepalive_set, 1);
  assertEquals([await six.keepalive(), await mapped.keepalive()], [[DEFAULTS], [UNTOUCHED]]);
  assertEquals((await way(["127.0.0.1", PORT])).keepalive_set, 1);
  assertEquals(await mapped.keepalive(), [DEFAULTS]);
});

systemTest("keepalive on MPTCP: what the kernel refuses is reported, the rest is set", ["MPTCP"], async (netns) => {
  const { doomed } = await Scene.make(netns, { protocol: "mptcp", count: 2 });
  const report = await keepalive(TO_SERVER, { netns });
  assertEquals(outcomes(report), { "keepalive-set": 2 });
  const own = await doomed.keepalive();
  for (const [i, { protocol, after, refused, error }] of report.connections.entries()) {
    assertEquals(protocol, "mptcp");
    const takes = own[i]!.user_timeout_ms !== null;
    assertEquals(after, { ...DEFAULTS, user_timeout_ms: takes ? 150_000 : null });
    if (takes) continue;
    assertEquals(refused, [{ option: "TCP_USER_TIMEOUT", value: 150_000, error: "ENOPROTOOPT" }]);
    assertMatch(error!, /TCP_USER_TIMEOUT/);
  }
  assertEquals(own.map(({ enabled, idle_s, interval_s, count }) => [enabled, idle_s, interval_s, count]), [
    [true, 15, 15, 9],
    [true, 15, 15, 9],
  ]);
  assertEquals(outcomes(await keepalive(TO_SERVER, { netns })), { unchanged: 2 });
});

const SO_KEEPALIVE = 9;
const TCP_KEEPIDLE = 4;

systemTest("keepalive: what the kernel refuses, for part of it as well, is a failure", [], async (netns) => {
  const { doomed } = await Scene.make(netns, { count: 1 });
  // As a program for the setsockopt hook of a cgroup refuses it.
  const refusing = (option: number) => {
    return keepalive(TO_SERVER, { netns, code: 1, within: withoutSyscall("setsockopt", "EPERM", `2=${option}`) });
  };
  const noIdle = (await refusing(TCP_KEEPIDLE)).connections[0]!;
  assertEquals(noIdle.outcome, "failed");
  assertEquals(noIdle.error, "the kernel refused TCP_KEEPIDLE (EPERM): keepalive is on, idle 7200 seconds");
  assertEquals(noIdle.refused, [{ option: "TCP_KEEPIDLE", value: 15, error: "EPERM" }]);
  assertEquals(noIdle.after, { ...DEFAULTS, idle_s: 7200 });
  assertEquals<unknown>(await doomed.keepalive(), [noIdle.after]);

  await doomed.setKeepalive({ enabled: false });
  const noSwitch = (await refusing(SO_KEEPALIVE)).connections[0]!;
  assertEquals(noSwitch.outcome, "failed");
  assertEquals(noSwitch.error, "the kernel refused SO_KEEPALIVE (EPERM): keepalive is off");
  assertEquals(await doomed.keepalive(), [{ ...DEFAULTS, enabled: false }]);
});

bothWays("keepalive on a connection that is still being opened", [], async (netns, way) => {
  await using far = await Namespace.create();
  await netns.link(far, ["10.0.0.1/24"], ["10.0.0.2/24"]);
  await netns.silence("10.0.0.2", far);
  const client = Peer.start(netns);
  await client.beginConnect("10.0.0.2", 8000);
  const { connections } = await way(["10.0.0.2", "--syncnt", "1"]);
  const { state, outcome, after } = connections[0]!;
  assertEquals([state, outcome, after], ["SYN-SENT", "keepalive-set", { ...DEFAULTS, syncnt: 1 }]);
});

systemTest("keepalive: a read from a peer that falls silent fails, and no other does", [], async (netns) => {
  await using far = await Namespace.create();
  await netns.link(far, ["10.0.0.1/24"], ["10.0.0.2/24"]);
  const server = Peer.start(far);
  await server.listen("10.0.0.2", 8000);
  await server.listen("10.0.0.2", 9000);
  const client = Peer.start(netns);
  const watched = await client.connect("10.0.0.2", 8000, { count: 2 });
  const blind = await client.connect("10.0.0.2", 9000, { count: 2 });
  await keepalive(["10.0.0.2", "8000", "--idle", "1", "--interval", "1", "--count", "2"], { netns });
  await netns.silence("10.0.0.2", far);
  await watched.assertEnded("ETIMEDOUT");
  await blind.assertUnended();
});

systemTest("keepalive on redis-server's connections: ss sees its timers change", ["redis-server"], async (netns) => {
  await using _server = await redis(netns, "127.0.0.2");
  const client = Peer.start(netns);
  const pool = await client.connect("127.0.0.2", 6379, { count: 3 });
  await pool.send("PING\r\n");
  const timers = () => keepaliveTimers(netns, "sport", "=", ":6379");
  // Redis sets tcp-keepalive 300 itself.
  for (const seconds of await timers()) assert(seconds! > 100, `${seconds} s before`);
  const report = await keepalive(["any", "--comm", "redis-server"], { netns });
  assertEquals(report.keepalive_set, 3);
  for (const { before, after } of report.connections) {
    assertEquals([before!.enabled, before!.idle_s, after], [true, 300, DEFAULTS]);
  }
  for (const seconds of await timers()) assert(seconds! <= 15, `${seconds} s after`);
  await pool.send("PING\r\n");
  const answers = 2 * "+PONG\r\n".length;
  await eventually("answers", async () => (await pool.seen()).every(({ received }) => received === answers));
});

systemTest("keepalive on nginx's connections", ["nginx"], async (netns) => {
  await using _server = await nginx(netns, "127.0.0.2:8080", "server { listen 127.0.0.2:8080; return 200 hello; }");
  const client = Peer.start(netns);
  const pool = await client.connect("127.0.0.2", 8080, { count: 4 });
  const answered = async (count: number) => {
    await pool.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    await eventually("answers", async () => (await pool.seen()).every(({ received }) => received > 100 * count));
  };
  await answered(1);
  const timers = () => keepaliveTimers(netns, "sport", "=", ":8080");
  assertEquals(await timers(), [null, null, null, null]);
  const report = await keepalive(["--sport", "8080"], { netns });
  assertEquals(outcomes(report), { "keepalive-set": 4 });
  assert(report.connections.every(({ owners }) => owners[0]!.comm === "nginx"));
  for (const seconds of await timers()) assert(seconds !== null && seconds <= 15, `${seconds} s`);
  await answered(2);
});

systemTest("keepalive on both sides of haproxy", ["haproxy"], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("127.0.0.3", 8002);
  await using _proxy = await haproxy(
    netns,
    "127.0.0.2:8001",
    `
defaults
    mode tcp
    timeout client 1m
    timeout connect 1m
    timeout server 1m
frontend f
    bind 127.0.0.2:8001
    default_backend b
backend b
    server s 127.0.0.3:8002
`,
  );
  const client = Peer.start(netns);
  const pool = await client.connect("127.0.0.2", 8001, { count: 2 });
  await pool.assertAlive();
  const report = await keepalive(["any", "--comm", "haproxy"], { netns });
  assertEquals(outcomes(report), { "keepalive-set": 4 });
  for (const filter of [["sport", "=", ":8001"], ["dport", "=", ":8002"]]) {
    const timers = await keepaliveTimers(netns, ...filter);
    assertEquals(timers.length, 2);
    for (const seconds of timers) assert(seconds !== null && seconds <= 15, `${filter.join(" ")}: ${seconds} s`);
  }
  await pool.assertAlive();
});

bothWays("keepalive --only-missing never overrides an application's choice", ["redis-server"], async (netns, way) => {
  await using _server = await redis(netns, "127.0.0.2");
  const client = Peer.start(netns);
  const pool = await client.connect("127.0.0.2", 6379, { count: 3 });
  await pool.only([pool.ports[0]!]).setKeepalive({ enabled: true, idle_s: 44 });
  await pool.only([pool.ports[1]!]).setKeepalive({ user_timeout_ms: 5000 });
  const report = await way(["any", "6379", "--only-missing"]);
  assertEquals(outcomes(report), { unchanged: 1, "keepalive-set": 2 });
  assertEquals(await pool.keepalive(), [
    { ...UNTOUCHED, enabled: true, idle_s: 44 },
    { ...DEFAULTS, user_timeout_ms: 5000 },
    DEFAULTS,
  ]);
  const servers = await way(["--sport", "6379", "--only-missing"]);
  assertEquals(outcomes(servers), { unchanged: 3 });
  for (const { error, after } of servers.connections) {
    assertMatch(error!, /its application has keepalive on/);
    assertEquals(after!.idle_s, 300);
  }
  for (const seconds of await keepaliveTimers(netns, "sport", "=", ":6379")) assert(seconds! > 100, `${seconds} s`);
});

bothWays("keepalive --listeners: what is accepted later has the values from the first", [], async (netns, way) => {
  const server = Peer.start(netns);
  for (const port of [DOOMED_PORT, KEPT_PORT]) await server.listen("0.0.0.0", port);
  const client = Peer.start(netns);
  await client.connect("127.0.0.2", DOOMED_PORT);
  const early = await server.serving(1);
  const report = await way(["--sport", PORT, "--listeners", "--idle", "20"]);
  const set = { ...DEFAULTS, idle_s: 20, user_timeout_ms: 155_000 };
  assertEquals(report.connections.map(({ state, after }) => [state, after]).sort(), [["ESTAB", set], ["LISTEN", set]]);
  assertEquals(await early.keepalive(), [set]);
  assertEquals(await server.keepaliveOfListeners(), [set, UNTOUCHED]);
  const late = await client.connect("127.0.0.2", DOOMED_PORT, { count: 2 });
  const other = await client.connect("127.0.0.2", KEPT_PORT);
  const accepted = await server.serving(4);
  assertEquals(await accepted.only(late.ports).keepalive(), [set, set]);
  assertEquals(await accepted.only(other.ports).keepalive(), [UNTOUCHED]);
  assertEquals(outcomes(await way(["--sport", PORT, "--listeners", "--idle", "20"])), {
    unchanged: 4,
  });
});

bothWays(
  "keepalive --listeners any: all of them, without any connection where that was asked for",
  [],
  async (netns, way) => {
    const { doomed, server } = await Scene.make(netns);
    const report = await way(["any", "--listeners", "--state", "listening", "--user-timeout", "0"]);
    assertEquals(report.connections.map(({ state, outcome }) => [state, outcome]), [
      ["LISTEN", "keepalive-set"],
      ["LISTEN", "keepalive-set"],
    ]);
    assertEquals(await server.keepaliveOfListeners(), Array(2).fill({ ...DEFAULTS, user_timeout_ms: 0 }));
    assertEquals(await doomed.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
  },
);

systemTest("keepalive --listeners on nginx: a later connection's timer runs", ["nginx"], async (netns) => {
  await using _server = await nginx(netns, "127.0.0.2:8080", "server { listen 127.0.0.2:8080; return 200 hello; }");
  const report = await keepalive(["--comm", "nginx", "--listeners"], { netns });
  assertEquals(report.connections.map(({ state, owners }) => [state, owners.length > 0]), [["LISTEN", true]]);
  const client = Peer.start(netns);
  await client.connect("127.0.0.2", 8080, { count: 2 });
  const timers = await keepaliveTimers(netns, "sport", "=", ":8080");
  assertEquals(timers.length, 2);
  for (const seconds of timers) assert(seconds !== null && seconds <= 15, `${seconds} s`);
});

systemTest("keepalive --listeners on MPTCP listeners", ["MPTCP"], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("127.0.0.2", DOOMED_PORT, { protocol: "mptcp" });
  const report = await keepalive(["any", "--listeners"], { netns });
  assertEquals(report.connections.map(({ protocol, state, outcome }) => [protocol, state, outcome]), [
    ["mptcp", "LISTEN", "keepalive-set"],
  ]);
  const client = Peer.start(netns);
  await client.connect("127.0.0.2", DOOMED_PORT, { protocol: "mptcp" });
  await client.connect("127.0.0.2", DOOMED_PORT);
  for (const { enabled, idle_s, interval_s, count } of await (await server.serving(2)).keepalive()) {
    assertEquals([enabled, idle_s, interval_s, count], [true, 15, 15, 9]);
  }
});

systemTest("keepalive --listeners with values for listeners alone", [], async (netns) => {
  const server = Peer.start(netns);
  await server.listen("0.0.0.0", DOOMED_PORT);
  const args = ["any", "--listeners", "--maxseg", "1000"];
  const { after } = (await keepalive(args, { netns })).connections[0]!;
  assertEquals(after, { ...DEFAULTS, maxseg: 1000 });
  const client = Peer.start(netns);
  await client.connect("127.0.0.2", DOOMED_PORT);
  const row = (await netns.ss("-i", "sport", "=", `:${PORT}`))[0]!;
  assertMatch(row, / mss:9\d\d /);
  const deferring = await keepalive(["any", "--listeners", "--state", "listening", "--defer-accept", "5"], { netns });
  assertEquals(deferring.connections[0]!.after?.defer_accept_s, 7);
});

systemTest(
  "keepalive: a connection that is not yet accepted, and one that its application has closed",
  [],
  async (netns) => {
    const { pool } = await makePool(netns, { accept: false, count: 2 });
    await pool.only([pool.ports[0]!]).close();
    const closed = await keepalive(["127.0.0.2", PORT], { netns });
    assertEquals(outcomes(closed), { "already-gone": 1, "keepalive-set": 1 });
    const waiting = await keepalive(["--sport", PORT, "--no-bpf"], { netns, code: 1 });
    assertEquals(outcomes(waiting), { "no-owner": 2 });
    assertEquals(waiting.connections[0]!.error, "not yet accepted by the application");
    assertEquals([waiting.connections[0]!.before, waiting.connections[0]!.after], [null, null]);
  },
);

/** Whether the kernel lets this host set keepalive in one pass. */
async function makesPasses(netns: Namespace): Promise<boolean> {
  const { findings } = (await tcphup(["doctor", "--json"], { netns })).json<Health>();
  return findings.find(({ name }) => name === "BPF: read and set keepalive in one pass")?.status === "ok";
}

systemTest(
  "keepalive: in one pass in the kernel, or through duplicates: it comes to the same",
  ["IPv6"],
  async (netns) => {
    const server = Peer.start(netns);
    for (const port of [8000, 9000]) await server.listen("::", port);
    const client = Peer.start(netns);
    const pools: Connections[][] = [];
    for (const port of [8000, 9000]) {
      const made = [];
      for (const address of ["127.0.0.2", "::1", "::ffff:127.0.0.3"]) {
        made.push(await client.connect(address, port, { count: 160 }));
      }
      pools.push(made);
    }
    await server.serving(960);
    const works = await makesPasses(netns);
    /** What is reported, in the order of the connections' settings before, and what the application finds. */
    const set = async (i: number, flags: readonly string[]) => {
      const args = ["any", i === 0 ? "8000" : "9000", ...flags, ...(i === 0 ? [] : ["--no-bpf"])];
      const { connections } = await keepalive(args, { netns });
      const told = connections.map(({ before, after, refused, outcome, error }) =>
        JSON.stringify({ before, after, refused, outcome, error })
      );
      const found = [];
      for (const pool of pools[i]!) found.push(...await pool.keepalive());
      return { told: told.sort(), found };
    };
    const some = (flags: readonly string[]) => Promise.all([0, 1].map((i) => set(i, flags)));
    const sequence = [
      ["--dry-run"],
      ["--only-missing", "--user-timeout", "0"],
      ["--only-missing", "--idle", "99"],
      ["--idle", "30", "--window-clamp", "20000"],
      ["--idle", "30", "--window-clamp", "20000"],
      ["--off"],
      ["--only-missing", "--idle", "50", "--user-timeout", "70s"],
      [],
    ];
    for (const flags of sequence) {
      const [pass, duplicates] = await some(flags);
      assertEquals(pass!.told.length, 480);
      assertEquals(pass, duplicates, flags.join(" "));
    }
    const { stderr } = await tcphup(["keepalive", "any", "8000", "--idle", "77", "--verbose"], { netns });
    assertMatch(stderr, works ? /sockets read and set with BPF/ : /sockets duplicated: /);
  },
);

/** Hides the kernel's types, which only CAP_SYS_ADMIN may read otherwise. */
const WITHOUT_BTF = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /sys/kernel/btf && exec "$@"', "sh"];
const BPF_PROG_LOAD = 5;

systemTest(
  "keepalive: where no pass can be made, through duplicates, and --verbose says why",
  ["setpriv", "unshare", "BTF", "permission to use BPF"],
  async (netns) => {
    const { doomed } = await Scene.make(netns, { count: 110 });
    const refusing = (errno: string, when?: string) => ({ within: withoutSyscall("bpf", errno, when) });
    const cases: [RegExp, Partial<TcphupOptions>][] = [
      [/BPF is denied: forbidden despite its capabilities, by a seccomp filter/, refusing("EPERM")],
      [/This kernel, or a seccomp filter, has no bpf\(2\)/, refusing("ENOSYS")],
      [/BPF cannot be used here: bpf\(BPF_PROG_LOAD\): EACCES/, refusing("EACCES", `0=${BPF_PROG_LOAD}`)],
      [/BPF is denied: needs CAP_BPF and CAP_PERFMON/, { without: ["bpf", "perfmon", "sys_admin"] }],
      [/This kernel's types \(BTF\) cannot be read from .*: ENOENT/, { within: WITHOUT_BTF, without: ["sys_admin"] }],
    ];
    for (const [i, [says, options]] of cases.entries()) {
      const run = await tcphup(["keepalive", "any", `--idle=${30 + i}`, "--verbose"], { netns, ...options, code: 0 });
      assertMatch(run.stdout, /^set keepalive on 440 connections$/m);
      assertMatch(run.stderr, new RegExp(`sockets duplicated: ${says.source}`));
      assert((await doomed.keepalive()).every(({ enabled, idle_s }) => enabled && idle_s === 30 + i));
    }
  },
);

systemTest("keepalive: in one pass, what is not yet accepted has it too", [], async (netns) => {
  if (!await makesPasses(netns)) return;
  await makePool(netns, { accept: false, count: 2 });
  const report = await keepalive(["--sport", PORT], { netns });
  assertEquals(outcomes(report), { "keepalive-set": 2 });
  assertEquals(report.connections.map(({ owners }) => owners), [[], []]);
  for (const seconds of await keepaliveTimers(netns, "src", `127.0.0.2:${PORT}`)) {
    assert(seconds !== null && seconds <= 15, `${seconds} s`);
  }
  const list = await tcphup(["ls", "any", "--sport", PORT, "-k", "--json"], { netns });
  assertEquals(list.json().connections.map(({ keepalive }) => keepalive), [DEFAULTS, DEFAULTS]);
});

systemTest("keepalive spares nobody's session, and takes --include-session as hup does", [], async (netns) => {
  const scene = await Scene.make(netns);
  const served = await scene.server.serving(6);
  const run = await scene.server.run([
    ...TCPHUP,
    "keepalive",
    "any",
    "--sport",
    "8000-9000",
    "--include-session",
    "--json",
  ]);
  assertEquals(outcomes(reportOf(new Run(run))), { "keepalive-set": 6 });
  for (const set of await served.keepalive()) assertEquals(set, DEFAULTS);
});

systemTest("keepalive without privilege: one's own, and not another user's", ["setpriv"], async (netns) => {
  const [user, other] = [65_534, 65_533];
  await using copy = await PublicCopy.make();
  const { doomed } = await Scene.make(netns, { user: other });
  const options = { netns, user, ...copy };
  const denied = await keepalive(TO_SERVER, { ...options, code: 4 });
  assertEquals(outcomes(denied), { denied: 3 });
  for (const { error, before } of denied.connections) {
    assertMatch(error!, /uid 65533 .*CAP_SYS_PTRACE/);
    assertEquals(before, null);
  }
  const own = await Peer.start(netns, { user }).connect("127.0.0.2", DOOMED_PORT);
  const some = await keepalive(TO_SERVER, { ...options, code: 1 });
  assertEquals(outcomes(some), { denied: 3, "keepalive-set": 1 });
  assertEquals(await own.keepalive(), [DEFAULTS]);
  assertEquals(await doomed.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
  const quiet = await tcphup(["keepalive", ...TO_SERVER, "-q"], options);
  assertEquals([quiet.code, quiet.stdout], [1, ""]);
  assertOneLine(quiet, /set keepalive on 0 of 4 connections; 1 unchanged; 3 denied: .*CAP_SYS_PTRACE/);
});

bothWays("keepalive in several namespaces at once", [], async (netns, way) => {
  await using other = await Namespace.create();
  const [here, there] = [await Scene.make(netns), await Scene.make(other)];
  const namespaces = ["--netns", netns.name, "--netns", other.name];
  const report = await way(["--sport", PORT, "--listeners", ...namespaces]);
  assertEquals(outcomes(report), { "keepalive-set": 8 });
  assertEquals(new Set(report.connections.map(({ netns_name }) => netns_name)), new Set([netns.name, other.name]));
  for (const { server, doomed } of [here, there]) {
    assertEquals(await server.keepaliveOfListeners(), [DEFAULTS, UNTOUCHED]);
    assertEquals(await doomed.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
  }
  const run = await tcphup(["keepalive", "any", PORT, ...namespaces], { netns, code: 0 });
  assertMatch(run.stdout, /^Netns +State /);
  assertMatch(run.stdout, /^set keepalive on 6 connections$/m);
});

systemTest("keepalive: the table, -q, -v and --json-lines", [], async (netns) => {
  const scene = await Scene.make(netns);
  const table = await tcphup(["keepalive", ...TO_SERVER, "-v"], { netns });
  const lines = table.stdout.split("\n");
  assertMatch(lines[0]!, /^State +Local +Remote +Process +Before +After +Outcome$/);
  for (const line of lines.slice(1, 4)) {
    assertMatch(
      line,
      new RegExp(`^ESTAB .* ${scene.client.pid}/python3 fd \\d+ +off +15s\\+9\\*15s,user-timeout:150000ms`),
    );
    assertMatch(line, / keepalive set$/);
  }
  assertMatch(lines[4]!, /^set keepalive on 3 connections$/);
  assertMatch(table.stderr, /^tcphup: \d+ ms: select \d+, resolve \d+, act \d+/);
  const quiet = await tcphup(["keepalive", ...TO_SERVER, "--off", "-q"], { netns });
  assertEquals([quiet.code, quiet.stdout, quiet.stderr], [0, "", ""]);
  const rows = await tcphup(["keepalive", ...TO_SERVER, "--json-lines"], { netns });
  assertEquals(
    rows.stdout.trimEnd().split("\n").map((line) => JSON.parse(line).outcome),
    Array(3).fill("keepalive-set"),
  );
  const none = await tcphup(["keepalive", "127.0.0.77"], { netns });
  assertEquals([none.code, none.stdout], [0, "no connections match\n"]);
});

systemTest("keepalive: a user timeout shorter than idle is set, and said what it means", [], async (netns) => {
  const { doomed } = await Scene.make(netns, { count: 1 });
  const run = await tcphup(["keepalive", ...TO_SERVER, "--user-timeout", "5000ms", "--json"], { netns, code: 0 });
  assertOneLine(run, /user-timeout 5 s is shorter than idle 15 s: .*dropped after one unanswered probe/);
  assertEquals(await doomed.keepalive(), [{ ...DEFAULTS, user_timeout_ms: 5000 }]);
});

systemTest("keepalive: values that open connections do not feel are named", [], async (netns) => {
  await Scene.make(netns, { count: 1 });
  const run = await tcphup(["keepalive", ...TO_SERVER, "--defer-accept", "5"], { netns, code: 0 });
  assertOneLine(run, /defer-accept has no effect on open connections, only on listeners \(--listeners\)/);
});

systemTest("keepalive: what is typed wrong is refused before anything is touched", [], async (netns) => {
  const { doomed } = await Scene.make(netns);
  const wrong: [string[], RegExp][] = [
    [["any", "--idle", "0x10"], /Not a time for idle: "0x10"/],
    [["any", "--idle", "32768"], /it takes 1 to 32767 seconds/],
    [["any", "--interval", "32768"], /it takes 1 to 32767 seconds/],
    [["any", "--count", "128"], /it takes 1 to 127 probes/],
    [["any", "--user-timeout", "2147483648ms"], /it takes 1 to 2147483647 milliseconds/],
    [["any", "--syncnt", "128"], /it takes 1 to 127 SYNs/],
    [["any", "--maxseg", "87"], /it takes 88 to 32767 bytes/],
    [["any", "--user-timeout", "-1"], /auto or 0/],
    [["any", "--idle"], /Option "--idle" needs a value: --idle TIME/],
    [["any", "--off", "--count", "3"], /--off and --count cannot be used together/],
    [["any", "--off", "--only-missing"], /--off and --only-missing cannot be used together/],
    [["any", "--json", "--json-lines"], /--json and --json-lines cannot be used together/],
    [["any", "--watch", "--json"], /--watch and --json cannot be used together/],
    [["any", "--watch=10ms"], /--watch "10ms" is out of range: expected 100ms to 24 days/],
    [["any", "--watch=soon"], /Not a time for --watch/],
    [["127.0.0.2", "--listeners"], /A listener has no peer/],
    [["any", PORT, "--listeners"], /A listener has no peer/],
    [["any", "--idle-for", "1m", "--listeners"], /A listener has no peer and no traffic/],
    [["any", "--state", "established", "--listeners"], /No listener is in the states selected/],
    [["any", "--state", "listening"], /listeners take --listeners/],
    [[], /No connections selected/],
    [["any", "0", "surplus"], /Unexpected argument "surplus"/],
    [["any", "--linger", "5ms"], /"tcphup keepalive" has no option "--linger"/],
  ];
  for (const [args, says] of wrong) assertUsageError(await tcphup(["keepalive", ...args], { netns }), says);
  assertEquals(await doomed.keepalive(), [UNTOUCHED, UNTOUCHED, UNTOUCHED]);
});
