import { assert, assertEquals, assertThrows } from "@std/assert";
import { detection, effective, KERNEL_DEFAULTS } from "../src/keepalive/detection.ts";
import { type KeepaliveValues, resolveValues, SYSTEM_VALUES } from "../src/keepalive/values.ts";
import { plan, valuesWithin } from "../src/plan.ts";
import { UsageError } from "../src/model/errors.ts";

const LIBKEEPALIVE = resolveValues().values;
const sysctls = KERNEL_DEFAULTS;

Deno.test("the table for 3 services, 64-byte probes, 9 probes", () => {
  const { table } = plan({ values: LIBKEEPALIVE, sysctls });
  assertEquals(table.map(({ interval_s, bytes_per_hour, hang_up_ms }) => [interval_s, bytes_per_hour, hang_up_ms]), [
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
  for (const { interval_s, bytes_per_hour, noticed_ms } of plan({ values: SYSTEM_VALUES, sysctls }).table) {
    const values = { ...SYSTEM_VALUES, idle_s: interval_s, interval_s, count: 9 };
    const found = plan({ values, sysctls });
    assertEquals([found.bytes_per_hour, found.idle_ms], [bytes_per_hour, noticed_ms]);
  }
});

Deno.test("traffic grows with services, hosts and the size of a probe", () => {
  const bytes = (services: number, hosts: number, probe_bytes: number) =>
    plan({ values: LIBKEEPALIVE, sysctls, services, hosts, probe_bytes }).bytes_per_hour;
  assertEquals(bytes(1, 1, 64), 64 * 3600 / 15);
  assertEquals(bytes(7, 200, 66), 7 * 200 * 66 * 3600 / 15);
  for (const wrong of [0, -1, 1.5, NaN]) {
    assertThrows(() => bytes(wrong, 1, 64), UsageError, `services ${wrong} is not a whole number above 0`);
    assertThrows(() => bytes(1, wrong, 64), UsageError, `hosts ${wrong} is not a whole number above 0`);
  }
});

Deno.test("today's values of the host: the whole result", () => {
  const { table, ...rest } = plan({ values: SYSTEM_VALUES, sysctls });
  assertEquals(table.length, 7);
  assertEquals(rest, {
    schema: 1,
    command: "plan",
    keepalive: { enabled: true, idle_s: 7200, interval_s: 75, count: 9, user_timeout_ms: 0 },
    services: 3,
    hosts: 1,
    probe_bytes: 64,
    first_probe_ms: 7_200_000,
    probe_period_ms: 7_200_000,
    idle_ms: 7_875_000,
    in_flight_ms: 924_600,
    probes_per_hour: 2,
    bytes_per_hour: 96,
    without_keepalive: { first_probe_ms: null, probe_period_ms: null, idle_ms: null, in_flight_ms: 924_600 },
  });
});

/** Returns the period of the probes to a living peer. A longer period means less traffic. */
function period(values: KeepaliveValues): number {
  return detection(effective(values, sysctls), sysctls).probe_period_ms!;
}

/**
 * The best values by trying all: every idle, interval and count that notice a dead peer in time, survive a lost probe,
 * and keep probes an eighth of the time apart; of these the longest period, then the fewest probes, then the longest
 * interval.
 */
function bestByTrial(within_s: number): KeepaliveValues[] {
  let best: KeepaliveValues[] = [];
  let bestScore: number[] = [0, 0, 0];
  for (let idle_s = 1; idle_s <= within_s; idle_s++) {
    for (let interval_s = Math.ceil(within_s / 8); interval_s <= within_s; interval_s++) {
      for (let count = 2; count <= 127 && idle_s + interval_s * count <= within_s; count++) {
        const values = { ...SYSTEM_VALUES, idle_s, interval_s, count, user_timeout_ms: 0 };
        if (detection(effective(values, sysctls), sysctls).idle_ms! > within_s * 1000) continue;
        const score = [period(values), -count, interval_s];
        const difference = score.map((part, i) => part - bestScore[i]).find((part) => part !== 0) ?? 0;
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
  for (let within_s = 3; within_s <= 150; within_s++) {
    const found = { ...valuesWithin(within_s), user_timeout_ms: 0 };
    assertEquals([found], bestByTrial(within_s), `${within_s} s`);
  }
});

Deno.test("valuesWithin notices in time, idle or not, and one lost probe is not the end", () => {
  const many = Array.from({ length: 400 }, (_, i) => 3 + i * i);
  for (const within_s of [...many, 98_301, 98_302, 1_000_000]) {
    const values = valuesWithin(within_s);
    // The kernel takes them.
    resolveValues(values);
    const { idle_ms, in_flight_ms } = detection(effective(values, sysctls), sysctls);
    assert(idle_ms! <= within_s * 1000 && in_flight_ms <= within_s * 1000, `${within_s} s`);
    // The connection outlives the interval after its first probe.
    assert(idle_ms! >= (values.idle_s + 2 * values.interval_s) * 1000, `${within_s} s`);
  }
});

Deno.test("valuesWithin in numbers", () => {
  const within = (within_s: number) => {
    const { idle_s, interval_s, count, user_timeout_ms } = valuesWithin(within_s);
    return [idle_s, interval_s, count, user_timeout_ms];
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
      `within ${wrong} s is not possible: it takes a whole number of seconds from 3 on (idle 1 s, and 2 probes 1 s apart)`,
    );
  }
});
