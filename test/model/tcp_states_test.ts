// The numbers and names of TCP's states.

import { assertEquals } from "@std/assert";
import { CLOSING, CONNECTED, type State, stateMask, stateName, STATES } from "../../src/model/tcp_states.ts";

/** <net/tcp_states.h>, from 1 on, in the names of ss(8). */
const IN_ORDER: State[] = [
  "ESTAB",
  "SYN-SENT",
  "SYN-RECV",
  "FIN-WAIT-1",
  "FIN-WAIT-2",
  "TIME-WAIT",
  "UNCONN",
  "CLOSE-WAIT",
  "LAST-ACK",
  "LISTEN",
  "CLOSING",
  "NEW-SYN-RECV",
  "BOUND-INACTIVE",
];

/** The states in a mask. */
function statesIn(mask: number): State[] {
  return IN_ORDER.filter((_, i) => mask >>> (i + 1) & 1);
}

Deno.test("states have the kernel's numbers", () => {
  assertEquals(STATES, Object.fromEntries(IN_ORDER.map((name, i) => [name, i + 1])) as typeof STATES);
});

Deno.test("a state's name is that of its number, and a request socket's SYN-RECV", () => {
  IN_ORDER.forEach((name, i) => assertEquals(stateName(i + 1), name === "NEW-SYN-RECV" ? "SYN-RECV" : name));
});

Deno.test("a state that no kernel has yet is not taken for a connected one", () => {
  assertEquals([0, 14, 31, 255].map(stateName), ["UNCONN", "UNCONN", "UNCONN", "UNCONN"]);
});

Deno.test("a mask has the bit of each state", () => {
  assertEquals(stateMask(), 0);
  assertEquals(stateMask("ESTAB"), 0b10);
  assertEquals(stateMask("ESTAB", "LISTEN", "BOUND-INACTIVE"), 0b10_0100_0000_0010);
});

Deno.test("what can be hung up on is neither a listener, nor in TIME-WAIT, nor closed", () => {
  const others: State[] = ["TIME-WAIT", "UNCONN", "LISTEN", "NEW-SYN-RECV", "BOUND-INACTIVE"];
  assertEquals(statesIn(CONNECTED), IN_ORDER.filter((name) => !others.includes(name)));
});

Deno.test("closing is what has sent its FIN", () => {
  assertEquals(statesIn(CLOSING), ["FIN-WAIT-1", "FIN-WAIT-2", "LAST-ACK", "CLOSING"]);
});
