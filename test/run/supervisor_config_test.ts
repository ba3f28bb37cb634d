// What a supervisor is told on its command line, and whose calls it leaves alone.

import { assertEquals } from "@std/assert";
import {
  decodeConfig,
  encodeConfig,
  isGivenUp,
  recentStalls,
  type Stall,
  type SupervisorConfig,
  warnsOnce,
} from "../../src/run/supervisor_config.ts";

const stall = (uid: number, second = 0, pid = 1): Stall => ({ uid, pid, second });

Deno.test("decodeConfig: what encodeConfig has made", () => {
  const config: SupervisorConfig = {
    on: new Set(["connect", "listen"]),
    debug: false,
    stalls: [],
    values: { idle_s: 15, count: 9 },
  };
  assertEquals(encodeConfig(config), ["connect,listen", "quiet", "-", "idle_s=15", "count=9"]);
  for (const given of [config, { ...config, debug: true, stalls: [stall(1000, 7, 12), stall(-1)] }]) {
    assertEquals(decodeConfig(encodeConfig(given)), given);
  }
});

Deno.test("isGivenUp: a user after three stalls, everybody after eight", () => {
  const two = [stall(1000), stall(1000)];
  assertEquals(isGivenUp(two, 1000), false);
  assertEquals(isGivenUp([...two, stall(1001)], 1000), false);
  assertEquals(isGivenUp([...two, stall(1000)], 1000), true);
  assertEquals(isGivenUp([...two, stall(1000)], 1001), false);
  const eight = Array.from({ length: 8 }, (_, uid) => stall(uid));
  assertEquals(isGivenUp(eight.slice(1), 99), false);
  assertEquals(isGivenUp(eight, 99), true);
});

Deno.test("recentStalls: stalls of the last hour, and older ones whose supervisor is still stuck", () => {
  const stalls = [stall(1, 100, 11), stall(2, 100, 12), stall(3, 5000, 13)];
  assertEquals(recentStalls(stalls, 5001, (pid) => pid === 12), stalls.slice(1));
});

Deno.test("warnsOnce: where sockets are made in the program's place, unless --debug tells of each", () => {
  assertEquals(warnsOnce({ on: new Set(["socket"]), debug: false }), true);
  assertEquals(warnsOnce({ on: new Set(["socket"]), debug: true }), false);
  assertEquals(warnsOnce({ on: new Set(["connect", "listen"]), debug: false }), false);
});
