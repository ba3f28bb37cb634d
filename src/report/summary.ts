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
  const groups = new Map<string, { group: Group; peers: Set<string>; pids: Set<number> }>();
  const total = noTotals();
  for (const one of listed) {
    const { connection, owners } = one;
    const { src, dst, netns } = connection;
    const accepted = isAccepted(connection);
    const destination = accepted ? src : dst;
    const process = owners[0]?.comm ?? null;
    const key = `${accepted} ${netns} ${destination.address} ${destination.port} ${process}`;
    let entry = groups.get(key);
    if (entry === undefined) {
      const direction = accepted ? "in" : "out";
      const group: Group = { direction, destination, peers: 0, netns, process, pids: [], ...noTotals() };
      groups.set(key, entry = { group, peers: new Set(), pids: new Set() });
    }
    add(one, entry.group);
    add(one, total);
    entry.peers.add(dst.address);
    for (const { pid } of owners) entry.pids.add(pid);
  }
  const finished = [...groups.values()].map(({ group, peers, pids }) => ({
    ...group,
    peers: peers.size,
    pids: [...pids].sort((a, b) => a - b),
    states: commonestFirst(group.states),
  }));
  // Sorting is stable: groups of one size stay in the order of their first connection.
  finished.sort((a, b) => b.count - a.count);
  return { total: { ...total, states: commonestFirst(total.states) }, groups: finished };
}

function noTotals(): Totals {
  return { count: 0, states: {}, idle: 0, withoutKeepalive: 0, keepaliveUnknown: 0, rqueue: 0, wqueue: 0 };
}

function add({ connection, keepalive }: ListedConnection, totals: Totals): void {
  const { state, rqueue, wqueue } = connection;
  totals.count++;
  totals.states[state] = (totals.states[state] ?? 0) + 1;
  if ((idleOf(connection) ?? 0) >= IDLE_AFTER_MS) totals.idle++;
  if (!keepalive) totals.keepaliveUnknown++;
  else if (!keepalive.enabled) totals.withoutKeepalive++;
  totals.rqueue += rqueue;
  totals.wqueue += wqueue;
}

function commonestFirst(states: Totals["states"]): Totals["states"] {
  return Object.fromEntries(Object.entries(states).sort(([, a], [, b]) => b - a));
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
