// Selects listening sockets. A listener has this host's end alone, so that only conditions on that end, and on the
// processes that hold it, can choose among listeners.

import { CONNECTED, stateMask } from "../model/tcp_states.ts";
import { usageError } from "../model/wording.ts";
import { type Condition, type Filter, fold } from "./filter.ts";
import { isAllOfIPv4 } from "./prefix_set.ts";
import { statesOf } from "./dump_plan.ts";
import { type CompiledSelection, compileSelection, restrictStates } from "./compile_selection.ts";
import type { Selection } from "./selection.ts";

const LISTEN = stateMask("LISTEN");

/**
 * Compiles a selection of connections and, when `listeners` is true, of listening sockets.
 *
 * @throws {UsageError} As `compileSelection`; and when `listeners` is true and the selection has a condition on peers.
 */
export function compileWithListeners(selection: Selection, listeners: boolean): CompiledSelection {
  const states = listeners ? CONNECTED | LISTEN : CONNECTED;
  const compiled = compileSelection(selection, undefined, states);
  if (listeners) requireLocal(compiled.filter);
  if (listeners && (compiled.states & statesOf(compiled.filter) & LISTEN) === 0) {
    throw usageError(
      ({ name }) =>
        `No listener is in the states selected: add ${name("state")} listening, or leave out ${name("listeners")}`,
      { code: "conflict", option: "listeners" },
    );
  }
  return restrictStates(
    compiled,
    states,
    ({ name }) =>
      `No connection is in the states selected: listeners take ${name("listeners")}, time-wait has nobody who holds it`,
  );
}

/**
 * Checks that a filter has no condition on a property that listeners lack.
 *
 * @throws {UsageError} When it has one.
 */
function requireLocal(filter: Filter): void {
  const beyond = fold(filter, isBeyondListeners, (_, terms) => terms.includes(true));
  if (!beyond) return;
  throw usageError(
    ({ name }) =>
      `A listener has no peer and no traffic: with ${name("listeners")} the destination is any, and this host's end ` +
      `chooses (${["sport", "src", "pid", "comm", "netns"].map(name).join(", ")} and so on)`,
    { code: "conflict", option: "listeners" },
  );
}

function isBeyondListeners(condition: Condition): boolean {
  switch (condition.op) {
    case "address":
      // -4 and -6 suit listeners: their peer, 0.0.0.0 or ::, has their version of IP.
      return condition.side === "dst" && !condition.prefixes.every(isAllOfIPv4);
    case "port":
      return condition.side === "dst";
    case "idle":
    case "silent":
    case "stalled":
    // This condition is part of --src-gone. Most listeners have the wildcard address, which is no address of this host.
    case "transparent":
      return true;
    default:
      return false;
  }
}
