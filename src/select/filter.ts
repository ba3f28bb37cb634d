// A filter over sockets: an expression over the properties that the kernel lists. It is made from DEST and PORT, from flags
// or from ss(8)'s filter language (ss/parser.ts), and compiled to the kernel's bytecode (bytecode.ts) and to a function
// (matcher.ts).

import type { Prefix } from "../model/address.ts";
import { only } from "../model/only.ts";

/** A side of the connection: `src` is this host's end, `dst` the peer's. */
export type Side = "src" | "dst";

/** A condition on one property of a socket. */
export type Condition =
  /** The address lies in one of the prefixes. IPv6 prefixes, `::/0` too, hold no IPv4 (v4-mapped) address. */
  | { readonly op: "address"; readonly side: Side; readonly prefixes: readonly Prefix[] }
  /** `from <= port <= to`. */
  | { readonly op: "port"; readonly side: Side; readonly from: number; readonly to: number }
  /** The index of the interface that the socket is bound to, 0 for none. */
  | { readonly op: "interface"; readonly index: number }
  /** `(mark & mask) === value`; only CAP_NET_ADMIN sees marks. */
  | { readonly op: "mark"; readonly value: number; readonly mask: number }
  /** The inode number of the cgroup v2 directory that the socket was created in. */
  | { readonly op: "cgroup"; readonly id: bigint }
  /**
   * No bind(2) chose the local port, as for most connect()ed sockets and every accept()ed one. Only the kernel's bytecode
   * can tell (INET_DIAG_BC_AUTO); no row does. See `planDumps`.
   */
  | { readonly op: "autobound" }
  | { readonly op: "uid"; readonly uid: number }
  /** A state's bit (1 << number) is in the mask. */
  | { readonly op: "state"; readonly mask: number }
  /** No data for so many milliseconds, either way (tcpi_last_data_sent, tcpi_last_data_recv). */
  | { readonly op: "idle"; readonly ms: number }
  /** Nothing heard from the peer for so many milliseconds (tcpi_last_data_recv, tcpi_last_ack_recv). */
  | { readonly op: "silent"; readonly ms: number }
  /** Data, a SYN or a FIN that the peer does not acknowledge although it was sent again: see `isStalled`. */
  | { readonly op: "stalled" }
  /** IP_TRANSPARENT: its local address is another host's on purpose (INET_DIAG_SOCKOPT). */
  | { readonly op: "transparent" };

/** An expression; `all` with no terms is true, `any` with none is false. */
export type Filter =
  | { readonly op: "all" | "any"; readonly terms: readonly Filter[] }
  | { readonly op: "not"; readonly term: Filter }
  | Condition;

/** The filter that matches every socket. */
export const EVERYTHING: Filter = { op: "all", terms: [] };

/** The filter that matches no socket. */
export const NOTHING: Filter = { op: "any", terms: [] };

/** Returns the filter that matches a socket when every one of `terms` does. */
export function all(terms: readonly Filter[]): Filter {
  const flat = terms.flatMap((term) => term.op === "all" ? term.terms : [term]);
  return only(flat) ?? { op: "all", terms: flat };
}

/**
 * Returns the filter that matches a socket when at least one of `terms` does. The addresses of a side become one condition,
 * since a set of thousands is as fast as one address.
 */
export function any(terms: readonly Filter[]): Filter {
  const flat = terms.flatMap((term) => term.op === "any" ? term.terms : [term]);
  const rest = flat.filter((term) => term.op !== "address");
  const addresses = (["src", "dst"] as const).flatMap((side): Filter[] => {
    const conditions = flat.filter((term) => term.op === "address").filter((term) => term.side === side);
    if (conditions.length < 2) return conditions;
    return [{ op: "address", side, prefixes: conditions.flatMap(({ prefixes }) => prefixes) }];
  });
  const merged = [...addresses, ...rest];
  return only(merged) ?? { op: "any", terms: merged };
}

/** Returns the filter that matches a socket when `term` does not. */
export function not(term: Filter): Filter {
  return { op: "not", term };
}

/**
 * Walks a filter with every `not` pushed down to the conditions (De Morgan), so that negation matters only there. `combine`
 * gets the results for the terms of an `all` or an `any`.
 */
export function fold<T>(
  filter: Filter,
  condition: (condition: Condition, negated: boolean) => T,
  combine: (op: "all" | "any", terms: T[]) => T,
  negated = false,
): T {
  switch (filter.op) {
    case "not":
      return fold(filter.term, condition, combine, !negated);
    case "all":
    case "any":
      return combine(
        negated === (filter.op === "any") ? "all" : "any",
        filter.terms.map((term) => fold(term, condition, combine, negated)),
      );
    default:
      return condition(filter, negated);
  }
}
