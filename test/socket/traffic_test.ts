// Whether a connection carries anything.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { busyWith, slippedThrough, soonestIdle } from "../../src/socket/traffic.ts";

const QUIET = { rqueue: 0, wqueue: 0, idle_ms: 200 };

Deno.test("idle: empty queues, and no data for long enough", () => {
  assertEquals(busyWith(QUIET, 200), null);
  assertEquals(soonestIdle(QUIET, 200), 0);
});

Deno.test("busy: and why", () => {
  assertMatch(busyWith({ ...QUIET, rqueue: 1 }, 200)!, /read/);
  assertMatch(busyWith({ ...QUIET, wqueue: 1 }, 200)!, /under way/);
  assertMatch(busyWith({ ...QUIET, idle_ms: 199 }, 200)!, /less than 200 ms/);
  assertMatch(busyWith({ ...QUIET, idle_ms: null }, 200)!, /does not say/);
});

Deno.test("the soonest that it can be idle: when data will have been gone for long enough", () => {
  assertEquals(soonestIdle({ ...QUIET, idle_ms: 150 }, 200), 50);
  assertEquals(soonestIdle({ ...QUIET, idle_ms: 0 }, 200), 200);
  assertEquals(soonestIdle({ ...QUIET, idle_ms: null }, 200), 200);
});

Deno.test("a queue counts as data that goes now, however old it is", () => {
  assertEquals(soonestIdle({ rqueue: 5, wqueue: 0, idle_ms: 90_000 }, 200), 200);
  assertEquals(soonestIdle({ rqueue: 0, wqueue: 5, idle_ms: 90_000 }, 200), 200);
});

Deno.test("what slips through between two looks shows; our own FIN is not it", () => {
  assert(!slippedThrough(QUIET, QUIET));
  assert(!slippedThrough(QUIET, { ...QUIET, idle_ms: 204 }));
  assert(!slippedThrough(QUIET, { ...QUIET, wqueue: 1 }));
  assert(slippedThrough(QUIET, { ...QUIET, idle_ms: 0 }));
  assert(slippedThrough(QUIET, { ...QUIET, wqueue: 2 }));
  assert(slippedThrough(QUIET, { ...QUIET, rqueue: 1 }));
});
