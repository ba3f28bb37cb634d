// Lists connections and their owners, with the details that were asked for. Nothing is touched.

import { withOpen } from "../ffi/closing.ts";
import type { NetnsInode } from "./model/ids.ts";
import { byIdentity, type HeldConnection, identityOf, type ListedConnection, type Unread } from "./model/connection.ts";
import { boolean, checkOptions, type Checks } from "./model/options.ts";
import { unanswered } from "./front/journal.ts";
import { detection, type KeepaliveSysctls } from "./keepalive/detection.ts";
import { KeepaliveReader, keepaliveSysctls } from "./socket/keepalive_read.ts";
import { extension, INET_DIAG_INFO } from "./linux/netlink/inet_diag.ts";
import { Resolver } from "./resolve/resolver.ts";
import { readKeepalives } from "./resolve/keepalive_pass.ts";
import { Finder } from "./resolve/finder.ts";
import { Selector } from "./select/selector.ts";
import { type CompiledSelection, compileSelection } from "./select/compile_selection.ts";
import type { Selection } from "./select/selection.ts";
import { summarize, type Summary } from "./report/summary.ts";

/** Details to fill in besides those that the kernel lists anyway. */
export interface ListConnectionsOptions {
  /** Fills in `tcpInfo`. */
  tcpInfo?: boolean;
  /**
   * Fills in `keepalive` and `deadPeerNoticed`. This duplicates each owner's descriptor for some microseconds, which
   * costs time. The caller must be the same user as the owner, or have CAP_SYS_PTRACE. (Where the net_cls or net_prio
   * controllers of cgroups v1 are in use, the kernel tags a duplicated socket as this process's.)
   */
  keepalive?: boolean;
}

const CHECKS: Checks<ListConnectionsOptions> = { tcpInfo: boolean, keepalive: boolean };

/** A list of connections. */
export interface Listing {
  /** The connections, in the kernel's order. */
  connections: ListedConnection[];
  /** Number of processes whose descriptors this user may not read. Their connections show no owners. */
  unreadableProcesses: number;
  /** The processes that were left out because they are blocked in the kernel. */
  unanswered: string[];
  /**
   * The reasons why connections may have been missed: each names a namespace or process that this user may not read.
   */
  incomplete: string[];
  /** With the option `keepalive`: the reasons why a connection's `keepalive` is null. */
  keepaliveUnreadable?: Unread[];
  /** With the option `keepalive`: the settings that apply where a socket has none of its own, by network namespace. */
  sysctls?: NetnsSysctls[];
}

/** The keepalive sysctls of a network namespace. */
export interface NetnsSysctls extends KeepaliveSysctls {
  /** Inode number of the namespace. */
  netns: NetnsInode;
}

/**
 * Lists the selected connections, each with all processes that hold it. Nothing is touched.
 *
 * It blocks until it is done: it lists sockets, and reads every descriptor of every process. With 20,000 descriptors on a
 * small virtual machine this takes some 1 s, and with `keepalive` half as much again.
 *
 * @example Who talks to this address?
 * ```ts
 * import { listConnections } from "@tcphup/tcphup";
 *
 * for (const { connection, owners } of listConnections({ dst: "192.0.2.10" }).connections) {
 *   console.log(connection.state, owners.map(({ pid, comm }) => `${pid}/${comm}`).join(" "));
 * }
 * ```
 *
 * @example Which connections would never notice that this peer has died?
 * ```ts
 * import { listConnections } from "@tcphup/tcphup";
 *
 * const { connections } = listConnections({ dst: "192.0.2.10" }, { keepalive: true });
 * const blind = connections.filter(({ keepalive }) => keepalive?.enabled === false);
 * ```
 *
 * @throws {UsageError} When an option is wrong. When the selection is empty, malformed, or names something that is not
 * there.
 * @throws {UnsupportedError} When the kernel cannot list sockets.
 * @throws {SyscallError} When a system call fails.
 * @throws {LibcUnavailableError} When libc cannot be loaded.
 */
export function listConnections(selection: Selection, options: ListConnectionsOptions = {}): Listing {
  checkOptions(options, CHECKS);
  return withOpen(new Lister(selection, options), (lister) => lister.list());
}

/** A connection of a list that is being made. */
type Listed = { -readonly [Key in keyof ListedConnection]: ListedConnection[Key] };

/** Lists the same connections again and again. */
export class Lister {
  readonly #finder: Finder;
  readonly #resolver = new Resolver();
  readonly #options: ListConnectionsOptions;

  constructor(selection: Selection, options: ListConnectionsOptions = {}) {
    this.#options = options;
    this.#finder = new Finder(compileSelection(selection), options.tcpInfo ? extension(INET_DIAG_INFO) : 0);
  }

  /** Returns the connections as they are now. */
  list(): Listing {
    const connections: Listed[] = this.#finder.find().map((connection) => ({ connection, owners: [] }));
    this.#resolver.resolve(connections, { exhaustive: true, known: this.#finder.owners });
    const { unreadable } = this.#resolver;
    const { incomplete } = this.#finder;
    const listing = { connections, unreadableProcesses: unreadable, unanswered: unanswered(), incomplete };
    if (!this.#options.keepalive) return listing;
    const sysctls = this.#finder.selector.forEachNetns(keepaliveSysctls);
    return {
      ...listing,
      keepaliveUnreadable: readKeepalive(connections, sysctls, this.#finder.selector),
      sysctls: [...sysctls].flatMap(([netns, settings]) => settings === null ? [] : [{ netns, ...settings }]),
    };
  }

  /** Returns a function that tells whether a port of a network namespace is listened on. */
  listening(): (netns: NetnsInode, port: number) => boolean {
    return this.#finder.selector.listening();
  }

  close(): void {
    this.#finder.close();
  }
}

/**
 * Summarizes connections whose owners are known, with their keepalive and tcp_info.
 */
export function summarizeInDetail(selection: CompiledSelection, found: readonly HeldConnection[]): Summary {
  return withOpen(new Selector(selection, extension(INET_DIAG_INFO)), (selector) => {
    const now = byIdentity(selector.remaining(found.map(({ connection }) => connection)));
    const detailed: Listed[] = found.map(({ connection, owners }) => ({
      connection: now.get(identityOf(connection)) ?? connection,
      owners,
    }));
    readKeepalive(detailed, new Map(), selector);
    return summarize(detailed, selector.listening());
  });
}

/** The keepalive sysctls of each network namespace; null where /proc/sys does not show them. */
type Sysctls = ReadonlyMap<NetnsInode, KeepaliveSysctls | null>;

/** Fills in the keepalive of connections. Returns the reasons why it is null for some of them. */
function readKeepalive(listed: readonly Listed[], sysctls: Sysctls, selector: Selector): Unread[] {
  return withOpen(new KeepaliveReader((connection) => selector.stateOf(connection)), (reader) => {
    const read = readKeepalives(listed, reader, selector);
    for (const one of listed) {
      one.keepalive = read.get(one.connection) ?? null;
      const settings = sysctls.get(one.connection.netns);
      const noticed = one.keepalive && settings ? detection(one.keepalive, settings) : null;
      one.deadPeerNoticed = noticed && { idleMs: noticed.idleMs, inFlightMs: noticed.inFlightMs };
    }
    return reader.unread;
  });
}
