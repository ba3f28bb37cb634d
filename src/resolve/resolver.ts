// The second room of the pipeline: who holds the connections.

import type { Connection, Owner } from "../model/connection.ts";
import { findOwners } from "./find_owners.ts";

/** The most attempts to find an owner of one connection. */
export const MAX_OWNER_ATTEMPTS = 3;

/** How to look for owners. */
export interface ResolveOptions {
  /** Find every holder; else stop when every connection has one. */
  readonly exhaustive?: boolean;
  /** Processes whose holding a connection matters, whoever else holds it. */
  readonly first?: readonly number[];
  /** Owners that have just been found, by inode. */
  readonly known?: ReadonlyMap<number, readonly Owner[]>;
}

/** Finds owners. */
export class Resolver {
  /** How many processes could not be looked into, at the last look. */
  unreadable = 0;

  /** Fills in the owners of connections. */
  resolve(connections: readonly Connection[], { exhaustive, first, known }: ResolveOptions = {}): void {
    const held = connections.filter(({ inode }) => inode !== 0);
    const { owners, leftOut, unreadable } = findOwners(held, {
      exhaustive,
      first,
      known,
    });
    this.unreadable = unreadable;
    for (const connection of held) {
      connection.owners = owners.get(connection.inode) ?? [];
      const more = leftOut.get(connection.inode);
      if (more !== undefined) connection.owners_left_out = more;
    }
  }
}
