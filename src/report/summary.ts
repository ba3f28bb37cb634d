// Connections by where they were made to and who holds them: what would be hit, on one screen.

import type { Connection } from "../model/connection.ts";
import { idleTime } from "../linux/netlink/tcp_info.ts";
import type { State } from "../model/tcp_states.ts";

/** A connection without data either way for so long counts as idle. */
export const IDLE_AFTER_MS = 60_000;

/** What some connections come to. */
export interface Totals {
  /** How many connections there are. */
  count: number;
  /** How many there are in each state, the commonest first. */
  states: Partial<Record<State, number>>;
  /** How many have carried no data, either way, for `IDLE_AFTER_MS`. */
  idle: number;
  /** How many have SO_KEEPALIVE off. */
  without_keepalive: number;
  /** Of how many it is not known. */
  keepalive_unknown: number;
  /** Bytes received and not yet read by the applications. */
  rqueue: number;
  /** Bytes written and not yet acknowledged by the peers. */
  wqueue: number;
}

/** Connections to one destination that one program holds. */
export interface Group extends Totals {
  /** `out` where the program connected to the destination, `in` where it accepts there. */
  direction: "out" | "in";
  /** Where the connections were made to: of those accepted, the end here. */
  destination: { address: string; port: number };
  /** How many addresses are at the other end. */
  peers: number;
  /** Inode number of their network namespace. */
  netns: number;
  /** The name of the processes that hold them; null for none. */
  process: string | null;
  /** The processes that hold them. */
  pids: number[];
}

/** What the connections of a list come to. */
export interface Summary {
  /** All of them. */
  total: Totals;
  /** The largest first. */
  groups: Group[];
}

/** For how long a connection has carried no data either way; null where the kernel does not say, or not yet. */
export function idleOf({ state, tcp_info }: Connection): number | null {
  // The times count from when the connection was established.
  return tcp_info && state !== "SYN-SENT" && state !== "SYN-RECV" ? idleTime(tcp_info) : null;
}

/**
 * Groups connections that have their `tcp_info` and `keepalive` filled in.
 *
 * @param isListening Whether a port is listened on here, so that connections at it were accepted.
 */
export function summarize(
  connections: readonly Connection[],
  isListening: (netns: number, port: number) => boolean = () => false,
): Summary {
  const isAccepted = acceptance(connections, isListening);
  const groups = new Map<string, { group: Group; peers: Set<string>; pids: Set<number> }>();
  const total = noTotals();
  for (const connection of connections) {
    const { src, dst, netns, owners } = connection;
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
    add(connection, entry.group);
    add(connection, total);
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
  return { count: 0, states: {}, idle: 0, without_keepalive: 0, keepalive_unknown: 0, rqueue: 0, wqueue: 0 };
}

function add(connection: Connection, totals: Totals): void {
  const { state, keepalive, rqueue, wqueue } = connection;
  totals.count++;
  totals.states[state] = (totals.states[state] ?? 0) + 1;
  if ((idleOf(connection) ?? 0) >= IDLE_AFTER_MS) totals.idle++;
  if (!keepalive) totals.keepalive_unknown++;
  else if (!keepalive.enabled) totals.without_keepalive++;
  totals.rqueue += rqueue;
  totals.wqueue += wqueue;
}

function commonestFirst(states: Totals["states"]): Totals["states"] {
  return Object.fromEntries(Object.entries(states).sort(([, a], [, b]) => b - a));
}

/**
 * Whether a connection was accepted here. A server that is being drained no longer listens; then it shows in that more
 * connections share its own end than the peer's. Clients share theirs too, at times, but not on the lower port.
 */
function acceptance(
  connections: readonly Connection[],
  isListening: (netns: number, port: number) => boolean,
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
