// The dumps that together find what a filter matches: as few, and as narrow, as the filter allows.

import { AF_INET, AF_INET6 } from "../../ffi/socket.ts";
import { compileBytecode } from "./bytecode.ts";
import { all, any, type Condition, EVERYTHING, type Filter, fold, not, NOTHING } from "./filter.ts";
import { compileMatcher, type Matcher } from "./matcher.ts";
import { isAllOfIPv4, isIPv4Prefix } from "./prefix_set.ts";
import { ALL_STATES } from "../model/tcp_states.ts";

/** A dump, and the matchers that select from its rows. */
export interface DumpPlan {
  /** AF_INET, AF_INET6 or both. */
  readonly families: readonly number[];
  /** `idiag_states`. */
  readonly states: number;
  /** INET_DIAG_REQ_BYTECODE, or null for none. */
  readonly bytecode: Uint8Array | null;
  /**
   * Sent instead when the kernel refuses `bytecode` (EINVAL, EPERM). It selects the same sockets from more rows. It is not
   * always null, since only bytecode can decide `autobound`.
   */
  readonly fallback: Uint8Array | null;
  readonly matches: Matcher;
  /** Matches rows of MPTCP connections. */
  readonly matchesMptcp: Matcher;
}

/**
 * Returns the dumps that together select each socket in one of `states` that the filter matches, once. No dump when nothing
 * can match.
 */
export function planDumps(filter: Filter, states: number = ALL_STATES): DumpPlan[] {
  return splitAutobound(filter).map(({ asked, rest }) => {
    const matches = compileMatcher(rest);
    return {
      families: familiesOf(rest),
      states: states & statesOf(rest),
      // compileBytecode() never drops the first term.
      bytecode: compileBytecode(all([asked, rest])),
      fallback: compileBytecode(asked),
      matches,
      matchesMptcp: asksForInfo(rest) ? compileMatcher(rest, "mptcp") : matches,
    };
  }).filter((query) => query.families.length > 0 && query.states !== 0);
}

/** Whether a filter reads INET_DIAG_INFO, which has to be asked for. */
export function asksForInfo(filter: Filter): boolean {
  return (["idle", "silent", "stalled"] as const).some((op) => mentions(filter, op));
}

/**
 * Splits a filter that mentions `autobound` in two: one over the sockets that are autobound, one over the others. The
 * kernel has to decide `asked`; rows can decide `rest`.
 */
function splitAutobound(filter: Filter): { asked: Filter; rest: Filter }[] {
  if (!mentions(filter, "autobound")) return [{ asked: EVERYTHING, rest: filter }];
  const autobound: Filter = { op: "autobound" };
  return [
    { asked: autobound, rest: assumeAutobound(filter, true) },
    { asked: not(autobound), rest: assumeAutobound(filter, false) },
  ];
}

function assumeAutobound(filter: Filter, assumed: boolean): Filter {
  return fold<Filter>(
    filter,
    (condition, negated) => {
      if (condition.op === "autobound") return assumed === negated ? NOTHING : EVERYTHING;
      return negated ? not(condition) : condition;
    },
    (op, terms) => op === "all" ? all(terms) : any(terms),
  );
}

/** Whether a condition of this kind occurs in the filter. */
export function mentions(filter: Filter, op: Condition["op"]): boolean {
  return fold(filter, (condition) => condition.op === op, (_, terms) => terms.includes(true));
}

/**
 * Returns the families of sockets that can match. An IPv4 address can match in both: AF_INET6 sockets carry IPv4 with
 * v4-mapped addresses.
 */
export function familiesOf(filter: Filter): number[] {
  const mask = bound(filter, 0b11, (condition, negated) => {
    if (condition.op !== "address") return 0b11;
    if (negated) return condition.prefixes.some(isAllOfIPv4) ? 0b10 : 0b11;
    if (condition.prefixes.length === 0) return 0;
    return condition.prefixes.some(isIPv4Prefix) ? 0b11 : 0b10;
  });
  return [AF_INET, AF_INET6].filter((_, i) => mask & 1 << i);
}

/** Returns the mask of the states in which sockets can match. */
export function statesOf(filter: Filter): number {
  return bound(filter, ALL_STATES, (condition, negated) => {
    if (condition.op !== "state") return ALL_STATES;
    return ALL_STATES & (negated ? ~condition.mask : condition.mask);
  });
}

/** Returns a set, as a mask, that holds every possible match of a filter, made of such sets for its conditions. */
function bound(filter: Filter, all: number, condition: (condition: Condition, negated: boolean) => number): number {
  return fold(
    filter,
    condition,
    (op, terms) => op === "all" ? terms.reduce((a, b) => a & b, all) : terms.reduce((a, b) => a | b, 0),
  );
}

/** Conditions that stay as they are for as long as a connection lives, whatever is done to it. */
const LASTING: readonly Condition["op"][] = ["address", "port"];

/** A filter that goes on matching a connection that `filter` matches, when it is hung up on, let go, or sends data. */
export function stableConditions(filter: Filter): Filter {
  return fold<Filter>(
    filter,
    (condition, negated) => !LASTING.includes(condition.op) ? EVERYTHING : negated ? not(condition) : condition,
    (op, terms) => op === "all" ? all(terms) : any(terms),
  );
}
