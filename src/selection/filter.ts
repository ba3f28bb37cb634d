// Which sockets: an expression over what one `struct inet_diag_msg` says. Made from DEST and PORT, from flags or
// from ss(8)'s filter language; compiled to the kernel's bytecode (bytecode.ts) and to a function (matcher.ts).

import type { Prefix } from "../address.ts";

/** A side of the connection: `src` is this host's end, `dst` the peer's. */
export type Side = "src" | "dst";

/** An expression; `all` with no terms is true, `any` with none is false. */
export type Filter =
  | { readonly op: "all" | "any"; readonly terms: readonly Filter[] }
  | { readonly op: "not"; readonly term: Filter }
  /** The address lies in one of the prefixes. */
  | { readonly op: "address"; readonly side: Side; readonly prefixes: readonly Prefix[] }
  /** `from <= port <= to`. */
  | { readonly op: "port"; readonly side: Side; readonly from: number; readonly to: number }
  /** The index of the interface that the socket is bound to, 0 for none. */
  | { readonly op: "interface"; readonly index: number }
  /** `(mark & mask) === value`; only CAP_NET_ADMIN sees marks. */
  | { readonly op: "mark"; readonly value: number; readonly mask: number }
  /** The inode number of the cgroup v2 directory that the socket was created in. */
  | { readonly op: "cgroup"; readonly id: bigint }
  /** The kernel chose the local port. */
  | { readonly op: "autobound" }
  | { readonly op: "uid"; readonly uid: number }
  /** A state's bit (1 << number) is in the mask. */
  | { readonly op: "state"; readonly mask: number };

/** The filter that matches every socket. */
export const EVERYTHING: Filter = { op: "all", terms: [] };
