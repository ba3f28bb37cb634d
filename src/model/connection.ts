// A connection as the kernel lists it, and the processes that hold it. Nothing changes it: what became of it is in
// ./result.ts.

import type { Cookie, ForeignFd, NetnsInode, SocketInode } from "./ids.ts";
import type { State } from "./tcp_states.ts";

/** One end of a connection. */
export interface Endpoint {
  /** Canonical text: a v4-mapped address is written as IPv4. */
  readonly address: string;
  /** The TCP port. */
  readonly port: number;
}

/** A process, and the descriptor by which it holds a socket. */
export interface Owner {
  /** The process's number, in the pid namespace of whoever asks. */
  readonly pid: number;
  /** The thread, where it is one that does not share its process's descriptors. */
  readonly tid?: number;
  /** The descriptor's number in that process. */
  readonly fd: ForeignFd;
  /** The process's name, as /proc/PID/comm has it: up to 15 bytes, any bytes. */
  readonly comm: string;
}

/** The timer that runs on a connection, as ss(8) names it. */
export interface Timer {
  /** `on` sends data again, `timewait` ends TIME-WAIT or an orphan, `persist` probes a window that is shut. */
  readonly name: "on" | "keepalive" | "timewait" | "persist" | "delack" | "unknown";
  /** Milliseconds until it fires. */
  readonly expiresMs: number;
  /** The number of times that it has fired in a row. */
  readonly retransmits: number;
}

/** The history of a connection; for MPTCP only the times of the last data. */
export type Info =
  & Pick<TcpInfo, "lastDataSentMs" | "lastDataRecvMs" | "lastAckRecvMs">
  & Partial<TcpInfo>;

/** The keepalive of a socket, with the values that come from the system. */
export interface Keepalive {
  /** SO_KEEPALIVE. */
  readonly enabled: boolean;
  /** TCP_KEEPIDLE: seconds without a sign of the peer before the first probe. */
  readonly idleS: number;
  /** TCP_KEEPINTVL: seconds from one unanswered probe to the next. */
  readonly intervalS: number;
  /** TCP_KEEPCNT: unanswered probes after which the connection is dropped. */
  readonly count: number;
  /** TCP_USER_TIMEOUT in milliseconds; 0 for none, null where the kernel does not say (MPTCP). */
  readonly userTimeoutMs: number | null;
}

/** The settings of a socket: its keepalive, and those of the other options that were asked for. */
export interface KeepaliveSettings extends Keepalive {
  /** TCP_SYNCNT; null, as in the others, where the kernel does not say. */
  readonly syncnt?: number | null;
  /** TCP_MAXSEG in bytes. */
  readonly maxseg?: number | null;
  /** TCP_WINDOW_CLAMP in bytes. */
  readonly windowClamp?: number | null;
  /** TCP_DEFER_ACCEPT in seconds. */
  readonly deferAcceptS?: number | null;
}

/** A reason why the keepalive of some connections could not be read. */
export interface Unread {
  /** One line for humans. */
  reason: string;
  /** The number of connections. */
  count: number;
}

/** A socket option that the kernel did not take. */
export interface RefusedOption {
  /** `TCP_USER_TIMEOUT`. */
  readonly option: string;
  /** The value that was refused. */
  readonly value: number;
  /** The errno's name. */
  readonly error: string;
}

/** The time after which a dead peer is noticed, in milliseconds; null is never. */
export interface Noticed {
  /** On a connection over which nothing is being sent. */
  readonly idleMs: number | null;
  /** On one with data that the peer has not acknowledged. */
  readonly inFlightMs: number;
}

/** A connection of this host, as the kernel lists it. */
export interface Connection {
  /** `mptcp` for a connection of several subflows, which are not listed by themselves. */
  readonly protocol: "tcp" | "mptcp";
  /** The family of the socket: `inet6` also for one that carries IPv4 (v4-mapped addresses). */
  readonly family: "inet" | "inet6";
  /** The state, as ss(8) names it. */
  readonly state: State;
  /** The end on this host. */
  readonly src: Endpoint;
  /** The peer. */
  readonly dst: Endpoint;
  /** The directions that have been shut down: 1 receiving, 2 sending, 3 both (INET_DIAG_SHUTDOWN). */
  readonly shutdown: number;
  /** The peer of the MPTCP connection that the socket is a subflow of. */
  readonly subflowOf?: string;
  /** Index of the interface that the socket is bound to, 0 for none. */
  readonly interface: number;
  /** Bytes received and not yet read by the application. */
  readonly rqueue: number;
  /** Bytes written by the application and not yet acknowledged by the peer. */
  readonly wqueue: number;
  /** The socket's inode number, 0 when no descriptor refers to it. */
  readonly inode: SocketInode;
  /** SO_COOKIE in hexadecimal, as in ss's `sk:`. */
  readonly cookie: Cookie;
  /** The user that the socket belongs to. */
  readonly uid: number;
  /** Inode number of the network namespace. */
  readonly netns: NetnsInode;
  /** The name of the namespace, or of a process in it; only when the selection has several namespaces. */
  readonly netnsName?: string;
  /** null when no timer runs. */
  readonly timer: Timer | null;
  /** Only when it was asked for; null where the kernel says nothing. */
  readonly tcpInfo?: Info | null;
  /** Milliseconds since data or an acknowledgement came, over any subflow; only with `tcpInfo`, null when unknown. */
  readonly silentMs?: number | null;
}

/** A connection, and the processes that hold it. */
export interface HeldConnection {
  /** The connection as it was listed last. */
  readonly connection: Connection;
  /** The holders; empty when there are none, or none that this user may see. */
  readonly owners: readonly Owner[];
  /** The number of further descriptors that refer to it, when `owners` would be too long. */
  readonly ownersLeftOut?: number;
}

/** A connection of a list. */
export interface ListedConnection extends HeldConnection {
  /** Only when it was asked for; null where it could not be read. */
  readonly keepalive?: Keepalive | null;
  /** The times after which that keepalive notices a dead peer. */
  readonly deadPeerNoticed?: Noticed | null;
}

/**
 * Returns a text that identifies a connection or a listener among all namespaces, for as long as it lives: its cookie. An
 * MPTCP connection may show its listener's cookie, so there it is the namespace, the addresses and the ports.
 */
export function identityOf(connection: Connection): string {
  const { protocol, state, netns, cookie } = connection;
  return protocol === "tcp" || state === "LISTEN" ? cookie : `${netns}/${endsOf(connection)}`;
}

/** Returns connections by their identities. */
export function byIdentity(connections: Iterable<Connection>): Map<string, Connection> {
  return new Map(Array.from(connections, (connection) => [identityOf(connection), connection]));
}

/** Returns a name for the connection that a call is about: see ffi/progress.ts. */
export function handleOf(connection: Pick<Connection, "protocol" | "cookie" | "src" | "dst">): string {
  return connection.protocol === "tcp" ? connection.cookie : endsOf(connection);
}

/** Writes both ends of a connection. No two TCP connections of a namespace have the same, nor two MPTCP connections. */
export function endsOf({ src, dst }: Pick<Connection, "src" | "dst">): string {
  return `${src.address}/${src.port}/${dst.address}/${dst.port}`;
}

/**
 * The history of a connection: `struct tcp_info` of <linux/tcp.h>. A field is `null` where the kernel is too old for it.
 */
export interface TcpInfo {
  /** The state's number, as <netinet/tcp.h> has it: 1 is ESTAB. */
  readonly state: number;
  /** Retransmission timeouts in a row (icsk_retransmits); 0 again when the peer acknowledges something. */
  readonly retransmits: number;
  /** Window or keepalive probes that have not been answered yet. */
  readonly probes: number;
  /** By how many powers of two the retransmission timeout, or the wait between window probes, has grown. */
  readonly backoff: number;
  /** The retransmission timeout, backed off, in microseconds. */
  readonly rtoUs: number;
  /** Segments sent and not acknowledged; of a listener, connections waiting for accept(2). */
  readonly unacked: number;
  /**
   * Milliseconds since data was last sent: since the connection was established when none was, and since the last
   * retransmission when one was. Before it is established the number means nothing.
   */
  readonly lastDataSentMs: number;
  /** Milliseconds since data last arrived, or since the connection was established. */
  readonly lastDataRecvMs: number;
  /** Milliseconds since the last acknowledgement, which the answer to a keepalive probe is too. */
  readonly lastAckRecvMs: number;
  /** The smoothed round-trip time, in microseconds; 0 before it was measured. */
  readonly rttUs: number;
  /** Segments sent again in the connection's whole life. */
  readonly totalRetrans: number;
  /** Bytes that the peer has acknowledged, its SYN and FIN counted as one each. Linux ≥ 4.1. */
  readonly bytesAcked: number | null;
  /** Bytes received in order. Linux ≥ 4.1. */
  readonly bytesReceived: number | null;
  /** Bytes in the send queue that have not been sent even once. Linux ≥ 4.6. */
  readonly notsentBytes: number | null;
}

/** The connections of one direction: those that this host opens, or those that it accepts. */
export type Direction = "outgoing" | "accepted";
