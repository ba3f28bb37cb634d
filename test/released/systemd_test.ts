// scripts/systemd: units that systemd accepts, and that are no tighter than what tcphup does.

import { assertEquals, assertMatch } from "@std/assert";
import { Place } from "../harness/attach.ts";
import { SECCOMP_PROFILE } from "../harness/container.ts";
import { Directory } from "../harness/directory.ts";
import { Lines } from "../harness/lines.ts";
import type { Namespace, SpawnOptions } from "../harness/namespace.ts";
import { run } from "../harness/process.ts";
import { DOOMED_PORT, Scene } from "../harness/scene.ts";
import { NameServer } from "../harness/servers.ts";
import { wholeTrace } from "../harness/strace.ts";
import { hostTest, type Need, systemTest } from "../harness/system.ts";
import { BINARY } from "../harness/tcphup.ts";
import { FOLLOW_UNIT, UNIT, unitCommand, unitSetting, WATCH_UNIT } from "../harness/unit.ts";

/** Each unit, and the most of its exposure, in tenths, of which 100 is no protection at all. */
const UNITS = [
  { unit: UNIT, name: "tcphup-keepalive.service", exposure: 15 },
  { unit: WATCH_UNIT, name: "tcphup-keepalive-watch.service", exposure: 20 },
  // It resolves names, and so may use the network.
  { unit: FOLLOW_UNIT, name: "tcphup-follow@.service", exposure: 25 },
] as const;

for (const { unit, name, exposure } of UNITS) {
  hostTest(`systemd accepts ${name}`, ["systemd-analyze"], async () => {
    using directory = new Directory();
    // Neither the program nor its man page is installed here.
    const text = (await Deno.readTextFile(unit)).replace("/usr/local/bin/tcphup", "/bin/true").replace(
      /^Doc.*$/m,
      "",
    );
    await Deno.writeTextFile(`${directory.path}/${name}`, text);
    const { stdout, stderr } = await run(["systemd-analyze", "verify", `${directory.path}/${name}`]);
    assertEquals(stdout + stderr, "");
  });

  hostTest(`systemd finds ${name} little exposed`, ["systemd-analyze"], async () => {
    const { stdout } = await run(["systemd-analyze", "security", "--offline=true", `--threshold=${exposure}`, unit]);
    assertMatch(stdout, /Overall exposure level/);
  });
}

/** The system calls of a set of systemd's, and of the sets in it. */
async function callsIn(names: readonly string[]): Promise<Set<string>> {
  const calls = new Set<string>();
  for (const name of names) {
    if (!name.startsWith("@")) {
      calls.add(name);
      continue;
    }
    const lines = (await run(["systemd-analyze", "syscall-filter", name])).stdout.split("\n").slice(1);
    const members = lines.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
    for (const call of await callsIn(members)) calls.add(call);
  }
  return calls;
}

async function allowedCalls(unit: string): Promise<Set<string>> {
  let allowed = new Set<string>();
  for (const filter of await unitSetting("SystemCallFilter", unit)) {
    if (filter.startsWith("~")) allowed = allowed.difference(await callsIn(filter.slice(1).split(" ")));
    else allowed = allowed.union(await callsIn(filter.split(" ")));
  }
  return allowed;
}

/** A system call, and its first argument where that is a name. */
type Call = readonly [name: string, argument: string];

/**
 * Runs the compiled program with strace(1) until `use` has seen enough of its lines. Returns the system calls of all of its
 * processes.
 */
async function callsOf(
  netns: Namespace,
  args: readonly string[],
  use: (lines: Lines) => Promise<void>,
  options: SpawnOptions = {},
): Promise<Call[]> {
  using directory = new Directory();
  const trace = `${directory.path}/trace`;
  const strace = ["strace", "--daemonize", "--follow-forks", "--quiet=all", "--signal=none", "--output", trace];
  const running = netns.spawn([...strace, BINARY!, ...args], options);
  await using lines = new Lines(running.stdout);
  await use(lines);
  running.kill("SIGTERM");
  assertEquals((await running.status).code, 0);
  const calls = (await wholeTrace(trace)).matchAll(/^\d+ +([a-z0-9_]+)\(([A-Z_0-9]*)/gm);
  return [...calls].map(([, name = "", argument = ""]) => [name, argument]);
}

/** Fails unless a unit allows these calls, and sockets of these families and of no others. */
async function assertAllowed(unit: string, calls: readonly Call[], expected: readonly string[]): Promise<void> {
  const names = new Set(calls.map(([name]) => name));
  assertEquals(expected.filter((name) => !names.has(name)), [], [...names].join(" "));
  assertEquals([...names.difference(await allowedCalls(unit))], []);
  assertEquals([names.has("bind"), await unitSetting("SocketBindDeny", unit)], [false, ["any"]]);
  const families = new Set(calls.filter(([name]) => name === "socket").map(([, family]) => family));
  const [allowed = ""] = await unitSetting("RestrictAddressFamilies", unit);
  assertEquals([...families.difference(new Set(allowed.replace("none", "").split(" ")))], []);
}

const TRACED: readonly Need[] = ["systemd-analyze", "strace", "setpriv", "TCPHUP_COMPILED"];

/** The system calls with which it acts on sockets of others. */
const ACTING = ["pidfd_getfd", "setsockopt"];

/** A line of what the unit's command says. */
const SET = /keepalive set/;

systemTest(
  "the unit for keepalive allows every system call that tcphup makes",
  [...TRACED, "cgroup v2", "unshare"],
  async (netns) => {
    await using place = await Place.make(netns);
    const args = [...await unitCommand(), "--cgroup", place.cgroup.path];
    const untilAttached = async (lines: Lines) => assertMatch((await lines.next(1))[0]!, /^attached to /);
    await assertAllowed(UNIT, await callsOf(netns, args, untilAttached, place.inside()), ["bpf"]);
  },
);

systemTest("the watching unit allows every system call that tcphup makes", TRACED, async (netns) => {
  const { client, doomed, kept } = await Scene.make(netns);
  const calls = await callsOf(netns, await unitCommand(WATCH_UNIT), async (lines) => {
    // Both ends of each.
    for (const line of await lines.next(2 * (doomed.ports.length + kept.ports.length))) assertMatch(line, SET);
    // At a later look.
    await client.connect("127.0.0.2", DOOMED_PORT);
    for (const line of await lines.next(2)) assertMatch(line, SET);
    // The unit lacks what it takes to attach a program, and a watch then calls no bpf(2).
  }, { without: ["bpf", "net_admin", "sys_admin"] });
  await assertAllowed(WATCH_UNIT, calls, ACTING);
  assertEquals(
    new Set(calls.filter(([name]) => name === "socket").map(([, family]) => family)),
    new Set(["AF_NETLINK"]),
  );
});

systemTest(
  "the unit that follows a name, and the profile for Kubernetes, allow every system call that tcphup makes",
  [...TRACED, "dnsmasq"],
  async (netns) => {
    const { doomed } = await Scene.make(netns);
    await using dns = await NameServer.start(netns, { "db.internal": ["127.0.0.2"] });
    const [command, instance, options] = await unitCommand(FOLLOW_UNIT);
    assertEquals([command, instance, options], ["follow", "%i", "$OPTIONS"]);
    const args = ["follow", `db.internal:${DOOMED_PORT}`, "--every=200ms", "--after=1s", "--ready"];
    const calls = await callsOf(netns, args, async (lines) => {
      await lines.next(1);
      await dns.set({ "db.internal": ["127.0.0.3"] });
      assertMatch((await lines.next(3)).join("\n"), /hung up on 3 connections$/);
    });
    await doomed.assertEnded("EOF");
    await assertAllowed(FOLLOW_UNIT, calls, ACTING);
    const profile: { syscalls: { names: string[] }[] } = JSON.parse(await Deno.readTextFile(SECCOMP_PROFILE));
    const allowed = new Set(profile.syscalls.flatMap(({ names }) => names));
    // Where clone3 is missing, as the profile has it, glibc calls clone.
    assertEquals([...new Set(calls.map(([name]) => name)).difference(allowed)].filter((name) => name !== "clone3"), []);
  },
);
