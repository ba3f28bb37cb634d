// Choosing connections by SO_KEEPALIVE, which no list of the kernel says: it is asked of a duplicate of the owner's
// descriptor, except where a running timer gives the answer.

import type { Connection } from "../model/connection.ts";
import type { StateLookup } from "../socket/proof.ts";
import { KeepaliveReader } from "../socket/keepalive_read.ts";
import { findOwners } from "./find_owners.ts";
import { self } from "../linux/proc/process.ts";

/** Asks. */
export class KeepaliveFilter {
  readonly #enabled: boolean;
  readonly #reader: KeepaliveReader;

  /** @param enabled What SO_KEEPALIVE has to be. */
  constructor(enabled: boolean, lookUp: StateLookup) {
    this.#enabled = enabled;
    this.#reader = new KeepaliveReader(lookUp);
  }

  /**
   * Those of which it is known that SO_KEEPALIVE is as it has to be. Where it cannot be read the connection is left
   * out, and `unseen` says so; one that no process holds has no application that could have set it.
   *
   * @param haveOwners Whether the connections' owners are known.
   */
  filter(connections: readonly Connection[], haveOwners: boolean): Connection[] {
    const open = connections.filter((connection) => connection.inode !== 0 && !hasKeepaliveTimer(connection));
    if (!haveOwners) {
      const { owners } = findOwners(open, { except: self() });
      for (const connection of open) connection.owners = owners.get(connection.inode) ?? [];
    }
    const asked = new Set(open.filter((connection) => this.#reader.read(connection)?.enabled === this.#enabled));
    return connections.filter((connection) =>
      asked.has(connection) || (this.#enabled && hasKeepaliveTimer(connection))
    );
  }

  /** Why connections may have been missed. */
  get incomplete(): string[] {
    return this.#reader.unread.map(({ reason, count }) =>
      `SO_KEEPALIVE of ${count} connection${count === 1 ? "" : "s"} could not be read: ${reason}`
    );
  }

  close(): void {
    this.#reader.close();
  }
}

/**
 * Whether the keepalive timer runs, which it does only with SO_KEEPALIVE. In FIN-WAIT-2 the same timer of the kernel ends
 * the wait; and an MPTCP connection has timers of another kind.
 */
function hasKeepaliveTimer({ protocol, state, timer }: Connection): boolean {
  return protocol === "tcp" && timer?.name === "keepalive" && state !== "FIN-WAIT-2";
}
