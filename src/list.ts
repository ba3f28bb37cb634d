// Listing: select and resolve, and nothing more.

import type { Connection } from "./connection.ts";
import { Resolver } from "./resolve.ts";
import { Selector } from "./select.ts";
import { compileSelection, type Selection } from "./selection/selection.ts";

/** What a list holds. */
export interface Listing {
  connections: Connection[];
  /** How many processes this user may not look into: their connections show no owners. */
  unreadable_processes: number;
}

/**
 * Lists the selected connections, with every process that holds one. Nothing is touched.
 *
 * @example Who talks to this address?
 * ```ts
 * import { list } from "@tcphup/tcphup";
 *
 * for (const { state, owners } of list({ dst: "192.0.2.10" }).connections) {
 *   console.log(state, owners.map(({ pid, comm }) => `${pid}/${comm}`).join(" "));
 * }
 * ```
 *
 * @throws {UsageError} When the selection is empty, malformed, or names something that is not there.
 * @throws {Unsupported} Where the kernel cannot list sockets.
 */
export function list(selection: Selection): Listing {
  const selector = new Selector(compileSelection(selection));
  try {
    const connections = selector.select();
    const resolver = new Resolver();
    resolver.resolve(connections, { exhaustive: true });
    return { connections, unreadable_processes: resolver.unreadable };
  } finally {
    selector.close();
  }
}
