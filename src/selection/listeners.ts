// Which listening sockets a selection of connections means. A listener has this host's end alone, so only what a filter
// says of that end can choose among listeners.

import type { Prefix } from "../address.ts";
import { UsageError } from "../usage_error.ts";
import { type Condition, type Filter, fold } from "./filter.ts";
import { isIPv4Prefix } from "./prefix_set.ts";

/**
 * Checks that a filter says nothing of which a listener has none: a peer.
 *
 * @throws {UsageError} When it does.
 */
export function requireLocal(filter: Filter): void {
  const aboutPeer = fold(filter, isAboutPeer, (_, terms) => terms.includes(true));
  if (!aboutPeer) return;
  throw new UsageError(
    "A listener has no peer: with --listeners the destination is any, and this host's end chooses " +
      "(its address or port, its processes, its network namespace)",
  );
}

function isAboutPeer(condition: Condition): boolean {
  switch (condition.op) {
    case "address":
      return condition.side === "dst" && !condition.prefixes.every(isAllOfIPv4);
    case "port":
      return condition.side === "dst";
    default:
      return false;
  }
}

/** The condition that -4 and -6 make: a listener's peer, 0.0.0.0 or ::, is of the listener's version of IP. */
function isAllOfIPv4(prefix: Prefix): boolean {
  return isIPv4Prefix(prefix) && prefix.length === 96;
}
