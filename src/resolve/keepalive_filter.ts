// Selects connections by SO_KEEPALIVE, which the kernel does not list. A running keepalive timer answers without the option
// being read.

import type { SocketInode } from "../model/ids.ts";
import type { Connection, Owner } from "../model/connection.ts";
import { counted } from "../model/wording.ts";
import type { Selector } from "../select/selector.ts";
import { KeepaliveReader } from "../socket/keepalive_read.ts";
import { findOwners } from "./find_owners.ts";
import { readKeepalives } from "./keepalive_pass.ts";
import { self } from "../linux/proc/process.ts";

/** Keeps the connections whose SO_KEEPALIVE is as wanted. */
export class KeepaliveFilter {
  readonly #enabled: boolean;
  readonly #selector: Selector;
  readonly #reader: KeepaliveReader;

  /** @param enabled The wanted value of SO_KEEPALIVE. */
  constructor(enabled: boolean, selector: Selector) {
    this.#enabled = enabled;
    this.#selector = selector;
    this.#reader = new KeepaliveReader((connection) => selector.stateOf(connection));
  }

  /**
   * Returns the connections whose SO_KEEPALIVE is known to be as wanted. Connections whose option cannot be read are left
   * out, and `incomplete` says so. The owners of those that were asked are returned too, by inode.
   *
   * @param known The owners of the connections by inode, where they were found already.
   */
  filter(
    connections: readonly Connection[],
    known?: ReadonlyMap<SocketInode, readonly Owner[]>,
  ): { connections: Connection[]; owners: ReadonlyMap<SocketInode, readonly Owner[]> } {
    const open = connections.filter((connection) => connection.inode !== 0 && !hasKeepaliveTimer(connection));
    const owners = known ?? findOwners(open, { except: self() }).owners;
    const held = open.map((connection) => ({ connection, owners: owners.get(connection.inode) ?? [] }));
    const read = readKeepalives(held, this.#reader, this.#selector);
    const isKept = (connection: Connection) =>
      read.get(connection)?.enabled === this.#enabled || (this.#enabled && hasKeepaliveTimer(connection));
    return { connections: connections.filter(isKept), owners };
  }

  /** The reasons why connections may have been missed. */
  get incomplete(): string[] {
    return this.#reader.unread.map(({ reason, count }) =>
      `SO_KEEPALIVE of ${counted(count, "connection")} could not be read: ${reason}`
    );
  }

  close(): void {
    this.#reader.close();
  }
}

/**
 * Whether the keepalive timer runs, which it does only with SO_KEEPALIVE. In FIN-WAIT-2 the kernel uses the same timer for
 * the end of the wait. The timers of MPTCP connections are of another kind.
 */
function hasKeepaliveTimer({ protocol, state, timer }: Connection): boolean {
  return protocol === "tcp" && timer?.name === "keepalive" && state !== "FIN-WAIT-2";
}
