// Tells what a filter may choose, of which only the peer is known.

import type { Address } from "../model/address.ts";
import { type Condition, type Filter, fold } from "./filter.ts";
import { isIPv4Prefix, PrefixSet } from "./prefix_set.ts";

/**
 * Tells whether a filter may choose something of which only a part is known.
 *
 * @param knows Returns whether a condition holds for it; null when that is not known.
 */
function mayChoose(filter: Filter, knows: (condition: Condition) => boolean | null): boolean {
  return fold(
    filter,
    (condition, isNegated) => knows(condition) !== isNegated,
    (op, terms) => op === "all" ? terms.every(Boolean) : terms.some(Boolean),
  );
}

/** Tells whether a filter may choose a peer's address of a family. */
export function mayChooseFamily(filter: Filter, version: 4 | 6): boolean {
  return mayChoose(filter, (condition) => {
    if (condition.op !== "address" || condition.side !== "dst") return null;
    const prefixes = condition.prefixes.filter((prefix) => isIPv4Prefix(prefix) === (version === 4));
    if (prefixes.length === 0) return false;
    const all = version === 4 ? 96 : 0;
    return prefixes.some(({ length }) => length === all) ? true : null;
  });
}

/** Tells whether a filter may choose a peer. @param port Null when it may be any. */
export function mayChoosePeer(filter: Filter, address: Address, port: number | null): boolean {
  return mayChoose(filter, (condition) => {
    if (condition.op === "address" && condition.side === "dst") {
      return new PrefixSet(condition.prefixes).has(...address.words);
    }
    if (condition.op !== "port" || condition.side !== "dst" || port === null) return null;
    return condition.from <= port && port <= condition.to;
  });
}
