// Whether a connection carries anything.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { explainBusy, hasCarriedData, msUntilIdle } from "../../src/socket/traffic.ts";

const QUIET = { rqueue: 0, wqueue: 0, idleMs: 200 };

Deno.test("idle: empty queues, and no data for long enough", () => {
  assertEquals(explainBusy(QUIET, 200), null);
  assertEquals(msUntilIdle(QUIET, 200), 0);
});

Deno.test("busy: and why", () => {
  assertMatch(explainBusy({ ...QUIET, rqueue: 1 }, 200)!, /read/);
  assertMatch(explainBusy({ ...QUIET, wqueue: 1 }, 200)!, /under way/);
  assertMatch(explainBusy({ ...QUIET, idleMs: 199 }, 200)!, /less than 200 ms/);
  assertMatch(explainBusy({ ...QUIET, idleMs: null }, 200)!, /does not say/);
});

Deno.test("the soonest that it can be idle: when data will have been gone for long enough", () => {
  assertEquals(msUntilIdle({ ...QUIET, idleMs: 150 }, 200), 50);
  assertEquals(msUntilIdle({ ...QUIET, idleMs: 0 }, 200), 200);
  assertEquals(msUntilIdle({ ...QUIET, idleMs: null }, 200), 200);
});

Deno.test("a queue counts as data that goes now, however old it is", () => {
  assertEquals(msUntilIdle({ rqueue: 5, wqueue: 0, idleMs: 90_000 }, 200), 200);
  assertEquals(msUntilIdle({ rqueue: 0, wqueue: 5, idleMs: 90_000 }, 200), 200);
});

Deno.test("what slips through between two looks shows; our own FIN is not it", () => {
  assert(!hasCarriedData(QUIET, QUIET));
  assert(!hasCarriedData(QUIET, { ...QUIET, idleMs: 204 }));
  assert(!hasCarriedData(QUIET, { ...QUIET, wqueue: 1 }));
  assert(hasCarriedData(QUIET, { ...QUIET, idleMs: 0 }));
  assert(hasCarriedData(QUIET, { ...QUIET, wqueue: 2 }));
  assert(hasCarriedData(QUIET, { ...QUIET, rqueue: 1 }));
});
