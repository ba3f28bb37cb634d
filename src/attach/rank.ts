// Decides which of two selections is narrower, so that of two programs the one with the narrower selection has its way.

import { rankOfDepth } from "../bpf/sock_ops.ts";
import { type Condition, type Filter, fold } from "../select/filter.ts";

/** How narrow a selection is. */
interface Narrowness {
  /** The bits of the peer's address that it settles. */
  readonly bits: number;
  /** Whether it goes by something else too. */
  readonly narrows: boolean;
}

/**
 * Ranks a selection: the deeper its control group the higher, then the longer the prefix of the peer, then with any other
 * condition higher than without.
 *
 * @param depth 0 for the root.
 * @param narrows Whether something beside the filter narrows it.
 */
export function rankOf(filter: Filter, depth: number, narrows: boolean): number {
  const { bits, narrows: alsoNarrows } = fold<Narrowness>(filter, narrownessOf, combine);
  return rankOfDepth(depth) | (bits << 1) | (narrows || alsoNarrows ? 1 : 0);
}

function narrownessOf(condition: Condition, isNegated: boolean): Narrowness {
  if (condition.op === "state") return { bits: 0, narrows: false };
  if (condition.op !== "address" || condition.side !== "dst" || isNegated) return { bits: 0, narrows: true };
  const bits = Math.min(128, ...condition.prefixes.map(({ length }) => length));
  // ::/0 leaves IPv4 out.
  return { bits, narrows: bits === 0 };
}

function combine(op: "all" | "any", terms: readonly Narrowness[]): Narrowness {
  const bits = terms.map((term) => term.bits);
  if (op === "all") return { bits: Math.max(0, ...bits), narrows: terms.some(({ narrows }) => narrows) };
  return { bits: terms.length === 0 ? 0 : Math.min(...bits), narrows: terms.some(({ narrows }) => narrows) };
}
