// The summary of a list of connections, grouped by their destinations and owners.

import type { NetnsInode } from "../model/ids.ts";
import type { Connection, ListedConnection } from "../model/connection.ts";
import { idleTime } from "../linux/netlink/tcp_info.ts";
import type { State } from "../model/tcp_states.ts";

/** Milliseconds without data in either direction after which a connection counts as idle. */
export const IDLE_AFTER_MS = 60_000;

/** Totals over several connections. */
export interface Totals {
  /** Number of connections. */
  count: number;
  /** Number of connections in each state, the commonest state first. */
  states: Partial<Record<State, number>>;
  /** Number of connections without data in either direction for `IDLE_AFTER_MS`. */
  idle: number;
  /** Number of connections with SO_KEEPALIVE off. */
  withoutKeepalive: number;
  /** Number of connections whose SO_KEEPALIVE is unknown. */
  keepaliveUnknown: number;
  /** Bytes received that the applications have not read yet. */
  rqueue: number;
  /** Bytes written that the peers have not acknowledged yet. */
  wqueue: number;
}

/** A group of connections to one destination that processes of one name hold. */
export interface Group extends Totals {
  /** `out` when the program connected to the destination, `in` when it accepted the connections there. */
  direction: "out" | "in";
  /** The end that the connections were made to: the local one for accepted connections. */
  destination: { address: string; port: number };
  /** Number of addresses at the remote end. */
  peers: number;
  /** Inode number of their network namespace. */
  netns: NetnsInode;
  /** The name of the processes that hold them; null for none. */
  process: string | null;
  /** The processes that hold them. */
  pids: number[];
}

/** A summary of a list of connections. */
export interface Summary {
  /** Totals over all connections. */
  total: Totals;
  /** The groups, the largest first. */
  groups: Group[];
}

/** Returns the milliseconds since a connection last carried data in either direction; null when that is unknown. */
export function idleOf({ state, tcpInfo }: Connection): number | null {
  // The kernel counts these times from when the connection was established.
  return tcpInfo && state !== "SYN-SENT" && state !== "SYN-RECV" ? idleTime(tcpInfo) : null;
}

/**
 * Groups connections and adds up their totals. The connections need their `tcpInfo` and `keepalive`.
 *
 * @param isListening Tells whether a local port is listened on, so that connections to it were accepted.
 */
export function summarize(
  listed: readonly ListedConnection[],
  isListening: (netns: NetnsInode, port: number) => boolean = () => false,
): Summary {
  const isAccepted = acceptedTest(listed.map(({ connection }) => connection), isListening);
  const destinationOf = (connection: Connection) => isAccepted(connection) ? connection.src : connection.dst;
  const members = Map.groupBy(listed, ({ connection, owners }) => {
    const { address, port } = destinationOf(connection);
    return `${isAccepted(connection)} ${connection.netns} ${address} ${port} ${owners[0]?.comm ?? null}`;
  });
  const groups = [...members.values()].map((group): Group => {
    const { connection, owners } = group[0]!;
    const pids = new Set(group.flatMap(({ owners }) => owners.map(({ pid }) => pid)));
    return {
      direction: isAccepted(connection) ? "in" : "out",
      destination: destinationOf(connection),
      peers: new Set(group.map(({ connection }) => connection.dst.address)).size,
      netns: connection.netns,
      process: owners[0]?.comm ?? null,
      pids: [...pids].sort((a, b) => a - b),
      ...totalsOf(group),
    };
  });
  // Sorting is stable: groups of one size stay in the order of their first connection.
  groups.sort((a, b) => b.count - a.count);
  return { total: totalsOf(listed), groups };
}

function totalsOf(listed: readonly ListedConnection[]): Totals {
  const none = { idle: 0, withoutKeepalive: 0, keepaliveUnknown: 0, rqueue: 0, wqueue: 0 };
  const totals: Totals = { count: listed.length, states: {}, ...none };
  for (const { connection, keepalive } of listed) {
    const { state, rqueue, wqueue } = connection;
    totals.states[state] = (totals.states[state] ?? 0) + 1;
    if ((idleOf(connection) ?? 0) >= IDLE_AFTER_MS) totals.idle++;
    if (!keepalive) totals.keepaliveUnknown++;
    else if (!keepalive.enabled) totals.withoutKeepalive++;
    totals.rqueue += rqueue;
    totals.wqueue += wqueue;
  }
  const commonestFirst = Object.entries(totals.states).sort(([, a], [, b]) => b - a);
  return { ...totals, states: Object.fromEntries(commonestFirst) };
}

/**
 * Returns a function that tells whether a connection was accepted here. A server that is being drained no longer
 * listens, but more connections share its own end than the peer's. Clients sometimes share their end too, but not on
 * the lower port.
 */
function acceptedTest(
  connections: readonly Connection[],
  isListening: (netns: NetnsInode, port: number) => boolean,
): (connection: Connection) => boolean {
  const ends = new Map<string, number>();
  const [localOf, remoteOf] = [
    ({ netns, src }: Connection) => `${netns} local ${src.address} ${src.port}`,
    ({ netns, dst }: Connection) => `${netns} remote ${dst.address} ${dst.port}`,
  ];
  for (const connection of connections) {
    for (const end of [localOf(connection), remoteOf(connection)]) ends.set(end, (ends.get(end) ?? 0) + 1);
  }
  return (connection) =>
    isListening(connection.netns, connection.src.port) ||
    (connection.src.port < connection.dst.port &&
      ends.get(localOf(connection))! > ends.get(remoteOf(connection))!);
}
