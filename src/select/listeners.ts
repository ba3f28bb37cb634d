// Which listening sockets a selection of connections means. A listener has this host's end alone, so only what a selection
// says of that end, and of who holds it, can choose among listeners.

import type { Prefix } from "../model/address.ts";
import { CONNECTED, stateMask } from "../model/tcp_states.ts";
import { UsageError } from "../model/errors.ts";
import { type Condition, type Filter, fold } from "./filter.ts";
import { isIPv4Prefix } from "./prefix_set.ts";
import { statesOf } from "./dump_plan.ts";
import { type CompiledSelection, compileSelection, restrictStates, type Selection } from "./criteria.ts";

const LISTEN = stateMask("LISTEN");

/**
 * Works out which sockets a selection means that can be set up for the time to come: connections and, where they are
 * asked for, listeners.
 *
 * @throws {UsageError} As `compileSelection`; and when listeners are asked for and it says something of peers.
 */
export function compileWithListeners(selection: Selection, listeners: boolean): CompiledSelection {
  const states = listeners ? CONNECTED | LISTEN : CONNECTED;
  const compiled = compileSelection(selection, undefined, states);
  if (listeners) requireLocal(compiled.filter);
  if (listeners && (compiled.states & statesOf(compiled.filter) & LISTEN) === 0) {
    throw new UsageError("No listener is in the states selected: add --state listening, or leave out --listeners");
  }
  return restrictStates(
    compiled,
    states,
    "No connection is in the states selected: listeners take --listeners, time-wait has nobody who holds it",
  );
}

/**
 * Checks that a filter says nothing of what a listener does not have.
 *
 * @throws {UsageError} When it does.
 */
export function requireLocal(filter: Filter): void {
  const beyond = fold(filter, isBeyondListeners, (_, terms) => terms.includes(true));
  if (!beyond) return;
  throw new UsageError(
    "A listener has no peer and no traffic: with --listeners the destination is any, and this host's end chooses " +
      "(--sport, --src, --pid, --comm, --netns and so on)",
  );
}

function isBeyondListeners(condition: Condition): boolean {
  switch (condition.op) {
    case "address":
      return condition.side === "dst" && !condition.prefixes.every(isAllOfIPv4);
    case "port":
      return condition.side === "dst";
    case "idle":
    case "stalled":
    // --src-gone: the wildcard address of most listeners is no address of this host's either.
    case "transparent":
      return true;
    default:
      return false;
  }
}

/** The condition that -4 and -6 make: a listener's peer, 0.0.0.0 or ::, is of the listener's version of IP. */
function isAllOfIPv4(prefix: Prefix): boolean {
  return isIPv4Prefix(prefix) && prefix.length === 96;
}
