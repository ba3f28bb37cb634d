import { assert, assertEquals } from "@std/assert";
import { Throttle } from "../../../src/cli/output/throttle.ts";

Deno.test("a few lines are written, of a flood some, and the others are counted", () => {
  const throttle = new Throttle(0);
  let written = 0;
  let counted = 0;
  for (let now = 0; now < 100_000; now++) {
    for (let i = 0; i < 5; i++) if (throttle.admits(now)) written++;
    counted += throttle.takeOmitted(now);
  }
  counted += throttle.takeOmitted(100_000, true);
  assert(written <= 200 + 1000 && written > 1000, `${written}`);
  assertEquals(written + counted, 500_000);
});

Deno.test("what was left out is counted every ten seconds, and at the end", () => {
  const throttle = new Throttle(0);
  while (throttle.admits(0));
  assertEquals([throttle.takeOmitted(9999), throttle.takeOmitted(10_000), throttle.takeOmitted(10_001)], [0, 1, 0]);
  while (throttle.admits(20_000));
  assertEquals(throttle.takeOmitted(20_001, true), 1);
});

Deno.test("a program that opens a connection now and then has a line for each", () => {
  const throttle = new Throttle(0);
  for (let now = 0; now < 1_000_000; now += 100) assert(throttle.admits(now));
});
