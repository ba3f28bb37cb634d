// Finds the connections that match a selection now. It composes the selector with the filters on processes and on
// SO_KEEPALIVE.

import type { Cookie, SocketInode } from "../model/ids.ts";
import type { Connection, Owner } from "../model/connection.ts";
import type { CompiledSelection } from "../select/compile_selection.ts";
import type { Matcher } from "../select/matcher.ts";
import { Selector } from "../select/selector.ts";
import type { Wanted } from "./find_owners.ts";
import { HolderFilter } from "./holder_filter.ts";
import { KeepaliveFilter } from "./keepalive_filter.ts";

/** The most rounds of a run that looks again for connections which appeared meanwhile. */
export const MAX_ROUNDS = 5;

/** Finds the connections of a selection, as often as the caller likes. */
export class Finder {
  /** Lists sockets, without regard to the processes that hold them. */
  readonly selector: Selector;
  readonly #holders: HolderFilter | null;
  readonly #keepalive: KeepaliveFilter | null;
  /**
   * The holders of the connections that were found last, by inode; undefined when the selection does not depend on them.
   */
  owners: ReadonlyMap<SocketInode, readonly Owner[]> | undefined;

  /** @param extensions Bits of the reply attributes that connections are to be filled from. */
  constructor(selection: CompiledSelection, extensions = 0) {
    const selector = this.selector = new Selector(selection, extensions);
    const { heldBy, notHeldBy, keepalive } = selection;
    this.#holders = heldBy || notHeldBy ? new HolderFilter(selection) : null;
    this.#keepalive = keepalive === undefined ? null : new KeepaliveFilter(keepalive, selector);
  }

  /**
   * Returns the connections that match now.
   *
   * @param states Restricts the states of the selection further: a mask of 1 << state.
   * @param withInfo Has connections get their `tcpInfo`, where that can be listed.
   * @throws {UsageError} When a namespace, process, cgroup or container does not exist, at the first call.
   * @throws {UnsupportedError} As `Selector.select`.
   */
  find(states?: number, withInfo?: boolean): Connection[] {
    return [...this.findInParts(states, withInfo)].flat();
  }

  /** Yields the connections that match, in parts, as `Selector.selectInParts`. Errors may come after some parts. */
  *findInParts(states?: number, withInfo?: boolean): Generator<Connection[], void> {
    // Holders are read before sockets are listed, so that a connection which others hold too is found as surely as any.
    const owners = this.owners = this.#holders?.look();
    const leftOut: Wanted[] = [];
    const needsReview = this.#holders?.needsReview ?? false;
    const isHeld: Matcher | undefined = owners && (({ inode, uid }) => {
      const held = owners.has(inode);
      if (!held && needsReview && inode !== 0) leftOut.push({ inode, uid });
      return held;
    });
    for (const part of this.selector.selectInParts(states, isHeld, withInfo)) yield this.#chosen(part, owners);
    if (needsReview) this.#holders!.countPossiblyMissed(leftOut);
  }

  /**
   * Returns the connections that match now and that the caller does not know, as `Selector.selectNew`. /proc is read only
   * when there are such connections.
   */
  findNew(isKnown: (cookie: Cookie) => boolean): Connection[] {
    const connections = this.selector.selectNew(isKnown);
    const owners = this.owners = connections.length === 0 ? new Map() : this.#holders?.look();
    if (owners === undefined) return this.#chosen(connections);
    const isHeld = ({ inode }: Connection) => owners.has(inode);
    if (this.#holders?.needsReview) {
      this.#holders.countPossiblyMissed(connections.filter((one) => one.inode !== 0 && !isHeld(one)));
    }
    return this.#chosen(connections.filter(isHeld), owners);
  }

  /** Drops the connections whose SO_KEEPALIVE is not as selected. */
  #chosen(connections: Connection[], owners?: ReadonlyMap<SocketInode, readonly Owner[]>): Connection[] {
    if (this.#keepalive === null) return connections;
    const chosen = this.#keepalive.filter(connections, owners);
    this.owners = chosen.owners;
    return chosen.connections;
  }

  /**
   * The reasons why connections may have been missed: namespaces that may not be entered, processes that may not be read.
   */
  get incomplete(): string[] {
    return [...this.selector.incomplete, ...(this.#holders?.incomplete ?? []), ...(this.#keepalive?.incomplete ?? [])];
  }

  close(): void {
    this.selector.close();
    this.#keepalive?.close();
  }
}
