// The turns of stages: when their steps are, and what ends them.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Turns, type TurnsOptions } from "../../src/act/turns.ts";
import { UnsupportedError } from "../../src/model/errors.ts";

function turns(given: Partial<TurnsOptions> = {}): Turns {
  return new Turns({ toleranceMs: 60_000, onPause: () => {}, ...given });
}

const passing = new UnsupportedError("short of memory", { passing: true });
const fail = (error: Error) => () => {
  throw error;
};

Deno.test("a step waits for its time, and the progress is told before each pause", async () => {
  let pauses = 0;
  const all = turns({ onPause: () => pauses++ });
  assertEquals([await all.until(0), pauses], [true, 0]);
  const time = performance.now() + 5;
  assertEquals(await all.until(time), true);
  assertEquals([performance.now() >= time, pauses > 0], [true, true]);
});

Deno.test("an interrupt ends a pause and all later ones, and is no error", async () => {
  const interrupt = new AbortController();
  const all = turns({ signal: interrupt.signal });
  const pause = all.until(Infinity);
  interrupt.abort();
  assertEquals([await pause, await all.until(0)], [false, false]);
  all.end();
});

Deno.test("an error that may pass is tolerated, and thrown in the end when it has not passed", async () => {
  const said: string[] = [];
  const all = turns({ onWarning: (text) => said.push(text) });
  const [stage, other] = [{}, {}];
  await all.attempt(stage, fail(passing));
  await all.attempt(other, () => {});
  assertThrows(() => all.end(), UnsupportedError, "short of memory");
  await all.attempt(stage, () => {});
  all.end();
  assertEquals(said, ["trying again after short of memory", "has passed: short of memory"]);
});

Deno.test("any other error ends the run, as does one that comes when the tolerance is over", async () => {
  const broken = new Error("broken");
  await assertRejects(() => turns().attempt({}, fail(broken)), Error, "broken");
  await assertRejects(() => turns({ toleranceMs: -1 }).attempt({}, fail(passing)), UnsupportedError);
  const all = turns();
  const pause = all.until(Infinity);
  all.stop({ error: broken });
  assertEquals(await pause, false);
  assertThrows(() => all.end(), Error, "broken");
});
