import { assertEquals } from "@std/assert";
import { type Sample, StallDetector } from "../../src/front/stall.ts";

/** What a detector says of samples that are taken every 100 ms. */
function waits(samples: readonly Partial<Sample>[]): number[] {
  const detector = new StallDetector();
  return samples.map((sample, i) => detector.observe({ call: 1, state: "D", cpu: 0, at: i * 100, ...sample }));
}

Deno.test("time counts while one call sleeps", () => {
  assertEquals(waits([{}, {}, { state: "S" }, {}]), [0, 100, 200, 300]);
});

Deno.test("another call, or none, is progress", () => {
  assertEquals(waits([{}, {}, { call: 2 }, { call: 2 }, { call: null }, { call: null }]), [0, 100, 0, 100, 0, 0]);
});

Deno.test("a call that takes processor time works, whatever it is seen in", () => {
  assertEquals(waits([{}, {}, { cpu: 1 }, { cpu: 1 }, { cpu: 1, state: "R" }, { cpu: 1 }]), [0, 100, 0, 100, 0, 100]);
});

Deno.test("who is stopped waits for nobody", () => {
  assertEquals(waits([{}, { state: "T" }, { state: "T" }, { state: "t" }, {}]), [0, 0, 0, 0, 100]);
});

Deno.test("the time in which nobody looked hardly counts", () => {
  assertEquals(waits([{}, { at: 60_000 }, { at: 60_100 }]), [0, 500, 600]);
});
