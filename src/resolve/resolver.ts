// Fills in the owners of connections.

import type { SocketInode } from "../model/ids.ts";
import type { Owner } from "../model/connection.ts";
import type { Target } from "../model/result.ts";
import { findOwners } from "./find_owners.ts";

/** Options of a search for owners. */
export interface ResolveOptions {
  /** Find every holder. Otherwise the search stops when every connection has a holder. */
  readonly exhaustive?: boolean;
  /** Processes that have to be found as holders, even if others hold the connection too. */
  readonly first?: readonly number[];
  /** Owners that the caller has just found, by inode. */
  readonly known?: ReadonlyMap<SocketInode, readonly Owner[]>;
}

/** Finds the owners of connections. */
export class Resolver {
  /** The number of processes that could not be read at the last search. */
  unreadable = 0;

  /** Fills in the owners beside their connections. */
  resolve(
    targets: readonly Pick<Target, "connection" | "owners" | "ownersLeftOut">[],
    options: ResolveOptions = {},
  ): void {
    const held = targets.filter(({ connection }) => connection.inode !== 0);
    const { owners, leftOut, unreadable } = findOwners(held.map(({ connection }) => connection), options);
    this.unreadable = unreadable;
    for (const target of held) {
      const { inode } = target.connection;
      target.owners = owners.get(inode) ?? [];
      const more = leftOut.get(inode);
      if (more !== undefined) target.ownersLeftOut = more;
    }
  }
}
