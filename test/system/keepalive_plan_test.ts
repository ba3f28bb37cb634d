// tcphup plan: the arithmetic of keepalive, from the command line.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { JsonDocument } from "../../src/cli/output/json.ts";
import { EMIT_FORMATS, emitKeepaliveConfig } from "../../src/keepalive/emit.ts";
import type { Plan } from "../../src/keepalive/plan.ts";
import { resolveValues, SYSTEM_VALUES } from "../../src/keepalive/values.ts";
import type { Namespace } from "../harness/namespace.ts";
import { assertOneLine, assertUsageError } from "../harness/scene.ts";
import { systemTest } from "../harness/system.ts";
import { type Run, tcphup } from "../harness/tcphup.ts";

async function plan(netns: Namespace, ...args: string[]): Promise<Run> {
  return await tcphup(["plan", ...args], { netns, code: 0 });
}

async function planned(netns: Namespace, ...args: string[]): Promise<JsonDocument<Plan>> {
  return (await plan(netns, ...args, "--json")).json<Plan>();
}

systemTest("plan: the table in src/keepalive/README.md", [], async (netns) => {
  const { stdout, stderr } = await plan(netns, "--count", "9", "--services", "3", "--probe-bytes", "64");
  assertEquals(stderr, "");
  const document = await Deno.readTextFile(new URL("../../src/keepalive/README.md", import.meta.url));
  const [table] = /^interval {2}bytes.*?\n(?=```$)/ms.exec(document)!;
  assert(stdout.includes(`\n\n${table}\n`), stdout);
});

systemTest("plan: without values, what the network namespace has today", [], async (netns) => {
  const today = await planned(netns);
  assertEquals(today.keepalive, { enabled: true, idle_s: 7200, interval_s: 75, count: 9, user_timeout_ms: 0 });
  assertEquals([today.idle_ms, today.in_flight_ms], [7_875_000, 924_600]);
  const changed = { tcp_keepalive_time: 600, tcp_keepalive_intvl: 20, tcp_keepalive_probes: 3, tcp_retries2: 5 };
  for (const [name, value] of Object.entries(changed)) {
    await netns.exec("sh", "-c", `echo ${value} > /proc/sys/net/ipv4/${name}`);
  }
  const { keepalive, idle_ms, in_flight_ms, without_keepalive } = await planned(netns);
  assertEquals(keepalive, { enabled: true, idle_s: 600, interval_s: 20, count: 3, user_timeout_ms: 0 });
  assertEquals([idle_ms, in_flight_ms, without_keepalive.idle_ms], [660_000, 12_600, null]);
  assertEquals((await plan(netns, "--emit", "env")).stdout.split("\n").slice(0, 4), [
    "TCP_KEEPIDLE=600",
    "TCP_KEEPINTVL=20",
    "TCP_KEEPCNT=3",
    "TCP_USER_TIMEOUT=0",
  ]);
  const { keepalive: given } = await planned(netns, "--idle", "0", "--count", "4");
  assertEquals(given, { enabled: true, idle_s: 600, interval_s: 15, count: 4, user_timeout_ms: 60_000 });
});

systemTest("plan --within finds values that notice in that time", [], async (netns) => {
  const { keepalive, idle_ms, in_flight_ms, hosts, bytes_per_hour } = await planned(
    netns,
    "--within",
    "30s",
    "--hosts=9",
  );
  assertEquals(keepalive, { enabled: true, idle_s: 22, interval_s: 4, count: 2, user_timeout_ms: 30_000 });
  assertEquals([idle_ms, in_flight_ms, hosts], [30_000, 30_000, 9]);
  assertEquals(bytes_per_hour, Math.round(3 * 9 * 64 * 3600 / 22));
  assertEquals((await planned(netns, "--within", "5m")).idle_ms, 300_000);
});

systemTest("plan --emit prints each format, and nothing else", [], async (netns) => {
  const args = ["--idle", "20", "--interval", "5", "--count", "2"];
  const { values } = resolveValues({ idleS: 20, intervalS: 5, count: 2 });
  for (const format of EMIT_FORMATS) {
    const { stdout, stderr } = await plan(netns, ...args, "--emit", format);
    assertEquals([stdout, stderr], [emitKeepaliveConfig(format, values), ""], format);
  }
  const { stdout } = await plan(netns, "--within", "30", "--emit", "sysctl");
  assert(stdout.includes("net.ipv4.tcp_keepalive_time = 22\n"), stdout);
  assert(emitKeepaliveConfig("istio", { ...SYSTEM_VALUES, idleS: 7200 }).includes("time: 7200s"));
  assertMatch((await plan(netns, "--emit", "istio")).stdout, /^ +time: 7200s$/m);
});

systemTest("plan: a user timeout that cuts probing short is warned of", [], async (netns) => {
  const run = await plan(netns, "--user-timeout", "1000ms", "--json");
  assertOneLine(run, /user-timeout 1 s is shorter than idle 15 s/);
  const { idle_ms, in_flight_ms } = run.json<Plan>();
  assertEquals([idle_ms, in_flight_ms], [30_000, 1000]);
});

systemTest("plan: what is typed wrong is refused", [], async (netns) => {
  const wrong: [string[], RegExp][] = [
    [["--idle", "0.5"], /idle "0.5" is not whole/],
    [["--idle", "32768"], /it takes 1 to 32767 seconds/],
    [["--within", "2s"], /--within "2s" is not possible: .*from 3 on/],
    [["--within", "2500ms"], /--within "2500ms" is not possible/],
    [["--within", "soon"], /Not a time for --within/],
    [["--within", "30s", "--count", "3"], /--within and --count cannot be used together/],
    [["--services", "0"], /--services "0" is out of range: expected a whole number above 0/],
    [["--hosts", "many"], /Not a number for --hosts: "many"/],
    [["--probe-bytes", "1.5"], /Not a number for --probe-bytes: "1.5"/],
    [
      ["--emit", "ini"],
      /Unknown format "ini": expected sysctl, istio, envoyfilter, kubernetes, haproxy, nginx, go, env/,
    ],
    [["--emit", "env", "--json"], /--emit and --json cannot be used together/],
    [["--emit", "env", "--hosts", "3"], /--emit and --hosts cannot be used together/],
    [["--idle", "0", "--interval", "0", "--count", "0", "--emit", "sysctl"], /there is nothing to write as sysctl/],
    [["any"], /Unexpected argument "any": expected tcphup plan \[VALUES\]/],
    [["--off"], /"tcphup plan" has no option "--off"/],
  ];
  for (const [args, says] of wrong) assertUsageError(await tcphup(["plan", ...args], { netns }), says);
});

systemTest("plan --help names every format", [], async (netns) => {
  const { stdout } = await plan(netns, "--help");
  for (const format of EMIT_FORMATS) assertMatch(stdout, new RegExp(`^  ${format} `, "m"));
});
