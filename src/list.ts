// Listing: select and resolve, look closer where that was asked for, and touch nothing.

import { type Connection, identityOf, type Keepalive, type Noticed } from "./model/connection.ts";
import { unanswered } from "./front/journal.ts";
import { detection, type KeepaliveSysctls } from "./keepalive/detection.ts";
import { KeepaliveReader, keepaliveSysctls, type Unread } from "./socket/keepalive_read.ts";
import { extension, INET_DIAG_INFO } from "./linux/netlink/inet_diag.ts";
import { Resolver } from "./resolve/resolver.ts";
import { Finder } from "./resolve/finder.ts";
import { Selector } from "./select/selector.ts";
import { type CompiledSelection, compileSelection, type Selection } from "./select/criteria.ts";
import { summarize, type Summary } from "./report/summary.ts";

/** What to say of each connection besides what the kernel lists anyway. */
export interface ListOptions {
  /** Fill in `tcp_info`. */
  tcp_info?: boolean;
  /**
   * Fill in `keepalive` and `dead_peer_noticed`. This takes a duplicate of each owner's descriptor for some microseconds,
   * so it costs time, and needs to be the same user as the owner, or CAP_SYS_PTRACE. (Where the net_cls or net_prio
   * controllers of cgroups v1 are in use, the kernel tags a duplicated socket as this process's.)
   */
  keepalive?: boolean;
}

/** What a list holds. */
export interface Listing {
  /** In the order of the kernel. */
  connections: Connection[];
  /** How many processes this user may not look into: their connections show no owners. */
  unreadable_processes: number;
  /** Processes that did not answer, blocked in the kernel, and so were left out. */
  unanswered: string[];
  /** Why connections may have been missed: namespaces or processes that the selection is about and that may not be seen. */
  unseen: string[];
  /** With `keepalive`: why it is null where it is. */
  keepalive_unreadable?: Unread[];
  /** With `keepalive`: what the network namespaces say where a socket does not. */
  sysctls?: NetnsSysctls[];
}

/** The settings of keepalive in a network namespace. */
export interface NetnsSysctls extends KeepaliveSysctls {
  /** Inode number of the namespace. */
  netns: number;
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
 * @example Which connections to it would never notice that it has died?
 * ```ts
 * import { list } from "@tcphup/tcphup";
 *
 * const { connections } = list({ dst: "192.0.2.10" }, { keepalive: true });
 * const blind = connections.filter(({ keepalive }) => keepalive?.enabled === false);
 * ```
 *
 * @throws {UsageError} When the selection is empty, malformed, or names something that is not there.
 * @throws {Unsupported} Where the kernel cannot list sockets.
 */
export function list(selection: Selection, options: ListOptions = {}): Listing {
  const lister = new Lister(selection, options);
  try {
    return lister.list();
  } finally {
    lister.close();
  }
}

/** Lists the same connections again and again. */
export class Lister {
  readonly #finder: Finder;
  readonly #resolver = new Resolver();
  readonly #options: ListOptions;

  constructor(selection: Selection, options: ListOptions = {}) {
    this.#options = options;
    this.#finder = new Finder(compileSelection(selection), options.tcp_info ? extension(INET_DIAG_INFO) : 0);
  }

  /** The connections as they are now. */
  list(): Listing {
    const connections = this.#finder.find();
    this.#resolver.resolve(connections, { exhaustive: true, known: this.#finder.owners });
    const { unreadable } = this.#resolver;
    const { incomplete: unseen } = this.#finder;
    const listing = { connections, unreadable_processes: unreadable, unanswered: unanswered(), unseen };
    if (!this.#options.keepalive) return listing;
    const sysctls = this.#finder.selector.forEachNetns(keepaliveSysctls);
    return {
      ...listing,
      keepalive_unreadable: readKeepalive(connections, sysctls, this.#finder.selector),
      sysctls: listed(sysctls),
    };
  }

  /** Which ports are listened on: `(netns, port) => boolean`. */
  listening(): (netns: number, port: number) => boolean {
    return this.#finder.selector.listening();
  }

  close(): void {
    this.#finder.close();
  }
}

/** What connections of a target, whose owners are known, come to. They themselves stay as they are. */
export function summarizeClosely(selection: CompiledSelection, connections: readonly Connection[]): Summary {
  const selector = new Selector(selection, extension(INET_DIAG_INFO));
  try {
    const now = new Map(selector.remaining(connections).map((row) => [identityOf(row), row.tcp_info]));
    const looked = connections.map((connection) => ({
      ...connection,
      tcp_info: now.get(identityOf(connection)) ?? null,
    }));
    readKeepalive(looked, new Map(), selector);
    return summarize(looked, selector.listening());
  } finally {
    selector.close();
  }
}

/** What a network namespace says of keepalive; null where /proc/sys does not show it. */
type Sysctls = ReadonlyMap<number, KeepaliveSysctls | null>;

/** Fills in the keepalive of connections. Returns why it is null where it is. */
function readKeepalive(connections: readonly Connection[], sysctls: Sysctls, selector: Selector): Unread[] {
  const reader = new KeepaliveReader((connection) => selector.stateOf(connection));
  try {
    for (const connection of connections) {
      const keepalive = connection.keepalive = reader.read(connection);
      connection.dead_peer_noticed = noticed(keepalive, sysctls.get(connection.netns) ?? null);
    }
    return reader.unread;
  } finally {
    reader.close();
  }
}

function noticed(keepalive: Keepalive | null, sysctls: KeepaliveSysctls | null): Noticed | null {
  if (keepalive === null || sysctls === null) return null;
  const { idle_ms, in_flight_ms } = detection(keepalive, sysctls);
  return { idle_ms, in_flight_ms };
}

function listed(sysctls: Sysctls): NetnsSysctls[] {
  return [...sysctls].flatMap(([netns, settings]) => settings === null ? [] : [{ netns, ...settings }]);
}
