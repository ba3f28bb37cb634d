// Fills in the owners of connections.

import type { Target } from "../model/result.ts";
import { type FindOptions, findOwners } from "./find_owners.ts";

/** Finds the owners of connections. */
export class Resolver {
  /** The number of processes that could not be read at the last search. */
  unreadable = 0;

  /** Fills in the owners beside their connections. */
  resolve(
    targets: readonly Pick<Target, "connection" | "owners" | "ownersLeftOut">[],
    options: FindOptions = {},
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
