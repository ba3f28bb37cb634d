import { assertEquals, assertThrows } from "@std/assert";
import { CONNECTED, stateMask } from "../../src/model/tcp_states.ts";
import { compileWithListeners } from "../../src/select/listeners.ts";
import type { Selection } from "../../src/select/selection.ts";
import { UsageError } from "../../src/model/errors.ts";

const LISTEN = stateMask("LISTEN");

Deno.test("listeners are looked for only when they are asked for", () => {
  assertEquals(compileWithListeners({ dst: "any" }, false).states, CONNECTED);
  assertEquals(compileWithListeners({ dst: "any" }, true).states, CONNECTED | LISTEN);
});

Deno.test("what is local chooses among listeners", () => {
  const local: Selection[] = [
    { dst: "any", dport: 0 },
    { sport: 5432 },
    { src: "10.0.0.7", sport: "8000-8100" },
    { filter: "sport = :443 or sport = :80" },
    { comm: "nginx" },
    { pid: 1, not: { sport: 22 } },
    { user: 33 },
    { netns: "all", dst: "any" },
    { dst: "any", version: 4 },
    { dst: "any", version: 6 },
    { noKeepalive: true },
  ];
  for (const selection of local) {
    assertEquals(compileWithListeners(selection, true).states & LISTEN, LISTEN, JSON.stringify(selection));
  }
});

Deno.test("a peer, or traffic, does not", () => {
  const remote: Selection[] = [
    { dst: "10.0.0.5" },
    { dst: "any", dport: 443 },
    { dst: "0.0.0.0" },
    { filter: "sport = :443 and dst 10.0.0.0/8" },
    { sport: 443, not: { dst: "10.0.0.0/8" } },
    { dst: "any", idleForMs: 1000 },
    { dst: "any", silentForMs: 1000 },
    { dst: "any", stalled: true },
    { dst: "any", srcGone: true },
  ];
  for (const selection of remote) {
    assertThrows(() => compileWithListeners(selection, true), UsageError, "A listener has no peer and no traffic");
    compileWithListeners(selection, false);
  }
});

Deno.test("states: listeners alone, or a contradiction", () => {
  assertEquals(compileWithListeners({ state: "listening" }, true).states, LISTEN);
  assertEquals(compileWithListeners({ state: ["listening", "established"] }, true).states, LISTEN | stateMask("ESTAB"));
  for (const selection of [{ state: "established" }, { dst: "any", closeWait: true }]) {
    assertThrows(() => compileWithListeners(selection, true), UsageError, "No listener is in the states selected");
  }
  for (const state of ["listening", "time-wait"]) {
    assertThrows(() => compileWithListeners({ state }, false), UsageError, "No connection is in the states selected");
  }
});
