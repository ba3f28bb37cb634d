// The schedule of cuts, with a fake clock and seeded random numbers.

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { DEFAULT_JITTER, type Pacing, PacingSchedule, slotLength } from "../../src/act/pacing.ts";

/** Returns the times of cuts that are made as soon as they are due, by a clock that ticks every `tickMs`. */
function timesOf(schedule: PacingSchedule, count: number, tickMs = 0): number[] {
  return Array.from({ length: count }, () => {
    const now = tickMs === 0 ? schedule.due : Math.ceil(schedule.due / tickMs) * tickMs;
    schedule.advance(now);
    return now;
  });
}

/** Returns a generator of numbers from 0 to 1 that are the same in every run: Park and Miller's. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => (state = state * 48271 % 2147483647) / 2147483647;
}

Deno.test("a rate is a gap, a time is shared among all", () => {
  assertEquals(slotLength({ perSecond: 50 }, 7), 20);
  assertEquals(slotLength({ perSecond: 1 / 60 }, 7), 60_000);
  assertEquals(slotLength({ overMs: 30_000 }, 60), 500);
  assertEquals(slotLength({ overMs: 30_000 }, 0), 30_000);
  assertEquals(slotLength({ perSecond: undefined, overMs: 30_000 } as Pacing, 60), 500);
});

Deno.test("without jitter cuts are regular, and the first is due at once", () => {
  assertEquals(timesOf(new PacingSchedule({ perSecond: 50, jitter: 0 }, 0, 1000), 4), [1000, 1020, 1040, 1060]);
  assertEquals(timesOf(new PacingSchedule({ overMs: 1000, jitter: 0 }, 4, 0), 4), [0, 250, 500, 750]);
});

Deno.test("each cut falls into its own slot, as far from its beginning as jitter allows", () => {
  for (const jitter of [0, 0.1, DEFAULT_JITTER, 1]) {
    for (let seed = 1; seed <= 20; seed++) {
      const times = timesOf(new PacingSchedule({ perSecond: 10, jitter }, 0, 5000, seededRandom(seed)), 100);
      times.forEach((time, slot) => {
        const offset = time - (5000 + slot * 100);
        assert(offset >= -1e-6 && offset <= jitter * 100 + 1e-6, `${offset} ms into its slot at jitter ${jitter}`);
      });
    }
  }
});

Deno.test("jitter moves cuts, by half a gap unless said otherwise", () => {
  const last = () => 1 - Number.EPSILON;
  assertAlmostEquals(new PacingSchedule({ perSecond: 1 }, 0, 0, last).due, 500, 1e-6);
  assertAlmostEquals(new PacingSchedule({ perSecond: 1, jitter: 1 }, 0, 0, last).due, 1000, 1e-6);
  const times = timesOf(new PacingSchedule({ perSecond: 1 }, 0, 0, seededRandom(7)), 50);
  assertEquals(new Set(times.map((time) => Math.round(time % 1000))).size > 25, true);
});

Deno.test("a time given is kept to, whatever chance says", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const spacing: Pacing = { overMs: 30_000, jitter: 1 };
    const times = timesOf(new PacingSchedule(spacing, 73, 0, seededRandom(seed)), 73);
    assert(Math.max(...times) < 30_000);
  }
});

Deno.test("timers that are late do not lower the rate", () => {
  const times = timesOf(new PacingSchedule({ perSecond: 1000, jitter: 0 }, 0, 0), 1000, 4);
  assertEquals(times.at(-1), 1000);
});

Deno.test("what held everything up is not made up for by a burst", () => {
  const schedule = new PacingSchedule({ perSecond: 100, jitter: 0 }, 0, 0);
  timesOf(schedule, 3);
  schedule.advance(60_000);
  const burst = timesOf(schedule, 20).filter((time) => time <= 60_000).length;
  assert(burst <= 5, `${burst} cuts at once`);
});

Deno.test("after a pause of any length the next gap is a whole one", () => {
  const schedule = new PacingSchedule({ perSecond: 1 / 60, jitter: 0 }, 0, 0);
  schedule.advance(0);
  schedule.advance(600_000);
  assert(schedule.due >= 659_000, `${schedule.due}`);
});
