import { assert, assertEquals, assertThrows } from "@std/assert";
import { detection, effective, KERNEL_DEFAULTS } from "../../src/keepalive/detection.ts";
import { type KeepaliveValues, resolveValues, SYSTEM_VALUES } from "../../src/keepalive/values.ts";
import { planKeepalive, valuesWithin } from "../../src/keepalive/plan.ts";
import { UsageError } from "../../src/model/errors.ts";

const LIBKEEPALIVE = resolveValues().values;
const sysctls = KERNEL_DEFAULTS;

Deno.test("the table for 3 services, 64-byte probes, 9 probes", () => {
  const { table } = planKeepalive({ values: LIBKEEPALIVE, sysctls });
  assertEquals(table.map(({ intervalS, bytesPerHour, hangUpMs }) => [intervalS, bytesPerHour, hangUpMs]), [
    [75, 9216, 675_000],
    [38, 18_189, 342_000],
    [19, 36_379, 171_000],
    [10, 69_120, 90_000],
    [5, 138_240, 45_000],
    [3, 230_400, 27_000],
    [1, 691_200, 9000],
  ]);
});

Deno.test("a row is what a plan of these values says", () => {
  for (const { intervalS, bytesPerHour, noticedMs } of planKeepalive({ values: SYSTEM_VALUES, sysctls }).table) {
    const values = { ...SYSTEM_VALUES, idleS: intervalS, intervalS, count: 9 };
    const found = planKeepalive({ values, sysctls });
    assertEquals([found.bytesPerHour, found.idleMs], [bytesPerHour, noticedMs]);
  }
});

Deno.test("traffic grows with services, hosts and the size of a probe", () => {
  const bytes = (services: number, hosts: number, probeBytes: number) =>
    planKeepalive({ values: LIBKEEPALIVE, sysctls, services, hosts, probeBytes }).bytesPerHour;
  assertEquals(bytes(1, 1, 64), 64 * 3600 / 15);
  assertEquals(bytes(7, 200, 66), 7 * 200 * 66 * 3600 / 15);
  for (const wrong of [0, -1, 1.5, NaN]) {
    assertThrows(
      () => bytes(wrong, 1, 64),
      UsageError,
      `services ${wrong} is out of range: expected a whole number above 0`,
    );
    assertThrows(
      () => bytes(1, wrong, 64),
      UsageError,
      `hosts ${wrong} is out of range: expected a whole number above 0`,
    );
  }
});

Deno.test("today's values of the host: the whole result", () => {
  const { table, ...rest } = planKeepalive({ values: SYSTEM_VALUES, sysctls });
  assertEquals(table.length, 7);
  assertEquals(rest, {
    schema: 1,
    command: "plan",
    keepalive: { enabled: true, idleS: 7200, intervalS: 75, count: 9, userTimeoutMs: 0 },
    services: 3,
    hosts: 1,
    probeBytes: 64,
    firstProbeMs: 7_200_000,
    probePeriodMs: 7_200_000,
    idleMs: 7_875_000,
    inFlightMs: 924_600,
    probesPerHour: 2,
    bytesPerHour: 96,
    withoutKeepalive: { firstProbeMs: null, probePeriodMs: null, idleMs: null, inFlightMs: 924_600 },
  });
});

/** Returns the period of the probes to a living peer. A longer period means less traffic. */
function period(values: KeepaliveValues): number {
  return detection(effective(values, sysctls), sysctls).probePeriodMs!;
}

/**
 * The best values by trying all: every idle, interval and count that notice a dead peer in time, survive a lost probe,
 * and keep probes an eighth of the time apart; of these the longest period, then the fewest probes, then the longest
 * interval.
 */
function bestByTrial(withinS: number): KeepaliveValues[] {
  let best: KeepaliveValues[] = [];
  let bestScore = [0, 0, 0];
  for (let idleS = 1; idleS <= withinS; idleS++) {
    for (let intervalS = Math.ceil(withinS / 8); intervalS <= withinS; intervalS++) {
      for (let count = 2; count <= 127 && idleS + intervalS * count <= withinS; count++) {
        const values = { ...SYSTEM_VALUES, idleS, intervalS, count, userTimeoutMs: 0 };
        if (detection(effective(values, sysctls), sysctls).idleMs! > withinS * 1000) continue;
        const score = [period(values), -count, intervalS];
        const difference = score.map((part, i) => part - bestScore[i]!).find((part) => part !== 0) ?? 0;
        if (difference < 0) continue;
        if (difference > 0) best = [];
        bestScore = score;
        best.push(values);
      }
    }
  }
  return best;
}

Deno.test("valuesWithin finds what trying all values finds", () => {
  for (let withinS = 3; withinS <= 150; withinS++) {
    const found = { ...valuesWithin(withinS), userTimeoutMs: 0 };
    assertEquals([found], bestByTrial(withinS), `${withinS} s`);
  }
});

Deno.test("valuesWithin notices in time, idle or not, and one lost probe is not the end", () => {
  const many = Array.from({ length: 400 }, (_, i) => 3 + i * i);
  for (const withinS of [...many, 98_301, 98_302, 1_000_000]) {
    const values = valuesWithin(withinS);
    // The kernel takes them.
    resolveValues(values);
    const { idleMs, inFlightMs } = detection(effective(values, sysctls), sysctls);
    assert(idleMs! <= withinS * 1000 && inFlightMs <= withinS * 1000, `${withinS} s`);
    // The connection outlives the interval after its first probe.
    assert(idleMs! >= (values.idleS + 2 * values.intervalS) * 1000, `${withinS} s`);
  }
});

Deno.test("valuesWithin in numbers", () => {
  const within = (withinS: number) => {
    const { idleS, intervalS, count, userTimeoutMs } = valuesWithin(withinS);
    return [idleS, intervalS, count, userTimeoutMs];
  };
  assertEquals(within(3), [1, 1, 2, 3000]);
  assertEquals(within(30), [22, 4, 2, 30_000]);
  assertEquals(within(60), [44, 8, 2, 60_000]);
  assertEquals(within(86_400), [32_767, 26_816, 2, 86_399_000]);
  assertEquals(within(1_000_000), [32_767, 32_767, 2, 98_301_000]);
});

Deno.test("valuesWithin refuses what cannot be", () => {
  for (const wrong of [2, 0, -30, 3.5, NaN, Infinity]) {
    assertThrows(
      () => valuesWithin(wrong),
      UsageError,
      `withinS ${wrong} is not possible: expected a whole number of seconds from 3 on (idle 1 s, and 2 probes 1 s apart)`,
    );
  }
});
