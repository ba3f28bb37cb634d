// Orphans by their inode and state.

import { assertEquals } from "@std/assert";
import type { State } from "../../src/model/tcp_states.ts";
import { isOrphan } from "../../src/act/exclusions.ts";

Deno.test("an orphan has no inode and has sent its FIN", () => {
  const states: State[] = ["FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK"];
  assertEquals(states.map((state) => isOrphan({ inode: 0, state })), [true, true, true, true]);
  assertEquals(states.map((state) => isOrphan({ inode: 4711, state })), [false, false, false, false]);
});

Deno.test("what no program has accepted yet is no orphan", () => {
  const states: State[] = ["ESTAB", "CLOSE-WAIT", "SYN-RECV"];
  assertEquals(states.map((state) => isOrphan({ inode: 0, state })), [false, false, false]);
});
