// A connection: the object that goes through the pipeline, and that --json prints.

import type { ForeignFd } from "../../ffi/fd.ts";
import type { Cookie, NetnsInode, SocketInode } from "./ids.ts";
import type { State } from "./tcp_states.ts";

/** One end of a connection. */
export interface Endpoint {
  /** Canonical text: a v4-mapped address is written as IPv4. */
  address: string;
  /** The TCP port. */
  port: number;
}

/** A process, and the descriptor by which it holds a socket. */
export interface Owner {
  /** The process's number, in the pid namespace of whoever asks. */
  pid: number;
  /** The thread, where it is one that does not share its process's descriptors. */
  tid?: number;
  /** The descriptor's number in that process. */
  fd: ForeignFd;
  /** The process's name, as /proc/PID/comm has it: up to 15 bytes, any bytes. */
  comm: string;
}

/** The timer that runs on a connection, as ss(8) names it. */
export interface Timer {
  /** `on` sends data again, `timewait` ends TIME-WAIT or an orphan, `persist` probes a window that is shut. */
  name: "on" | "keepalive" | "timewait" | "persist" | "delack" | "unknown";
  /** Milliseconds until it fires. */
  expiresMs: number;
  /** The number of times that it has fired in a row. */
  retransmits: number;
}

/** The history of a connection; for MPTCP only the times of the last data. */
export type Info =
  & Pick<TcpInfo, "lastDataSentMs" | "lastDataRecvMs" | "lastAckRecvMs">
  & Partial<TcpInfo>;

/** The keepalive of a socket, with the values that come from the system. */
export interface Keepalive {
  /** SO_KEEPALIVE. */
  enabled: boolean;
  /** TCP_KEEPIDLE: seconds without a sign of the peer before the first probe. */
  idleS: number;
  /** TCP_KEEPINTVL: seconds from one unanswered probe to the next. */
  intervalS: number;
  /** TCP_KEEPCNT: unanswered probes after which the connection is dropped. */
  count: number;
  /** TCP_USER_TIMEOUT in milliseconds; 0 for none, null where the kernel does not say (MPTCP). */
  userTimeoutMs: number | null;
}

/** The settings of a socket: its keepalive, and those of the other options that were asked for. */
export interface KeepaliveSettings extends Keepalive {
  /** TCP_SYNCNT; null, as in the others, where the kernel does not say. */
  syncnt?: number | null;
  /** TCP_MAXSEG in bytes. */
  maxseg?: number | null;
  /** TCP_WINDOW_CLAMP in bytes. */
  windowClamp?: number | null;
  /** TCP_DEFER_ACCEPT in seconds. */
  deferAcceptS?: number | null;
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
  option: string;
  /** The value that was refused. */
  value: number;
  /** The errno's name. */
  error: string;
}

/** The time after which a dead peer is noticed, in milliseconds; null is never. */
export interface Noticed {
  /** On a connection over which nothing is being sent. */
  idleMs: number | null;
  /** On one with data that the peer has not acknowledged. */
  inFlightMs: number;
}

/** The outcome for a connection. */
export type Outcome =
  /** shutdown(2) was called on it: its peer is sent a FIN. */
  | "hung-up"
  /** It was aborted: its peer is sent a RST. */
  | "destroyed"
  | "would-hang-up"
  | "would-destroy"
  /** At least one option of its keepalive was changed, and what was wanted reads back. */
  | "keepalive-set"
  | "would-set-keepalive"
  /** The connection already had the settings, or the application's settings were kept. */
  | "unchanged"
  /** The connection ended, or this end had already hung up, before anything was done. */
  | "already-gone"
  /** No process holds it, so there is no descriptor to act on. */
  | "no-owner"
  /** The user may not open the descriptor. */
  | "denied"
  /** The kernel cannot do it. */
  | "unsupported"
  /** Protected, or left alone on request. */
  | "skipped"
  /** The connection was hung up on, and still existed when the wait was over. */
  | "lingering"
  | "failed";

/** A connection of this host. */
export interface Connection {
  /** `mptcp` for a connection of several subflows, which are not listed by themselves. */
  protocol: "tcp" | "mptcp";
  /** The family of the socket: `inet6` also for one that carries IPv4 (v4-mapped addresses). */
  family: "inet" | "inet6";
  /** The state, as ss(8) names it. */
  state: State;
  /** The end on this host. */
  src: Endpoint;
  /** The peer. */
  dst: Endpoint;
  /** The directions that have been shut down: 1 receiving, 2 sending, 3 both (INET_DIAG_SHUTDOWN). */
  shutdown: number;
  /** The peer of the MPTCP connection that the socket is a subflow of. */
  subflowOf?: string;
  /** Index of the interface that the socket is bound to, 0 for none. */
  interface: number;
  /** Bytes received and not yet read by the application. */
  rqueue: number;
  /** Bytes written by the application and not yet acknowledged by the peer. */
  wqueue: number;
  /** The socket's inode number, 0 when no descriptor refers to it. */
  inode: SocketInode;
  /** SO_COOKIE in hexadecimal, as in ss's `sk:`. */
  cookie: Cookie;
  /** The user that the socket belongs to. */
  uid: number;
  /** Inode number of the network namespace. */
  netns: NetnsInode;
  /** The name of the namespace, or of a process in it; only when the selection has several namespaces. */
  netnsName?: string;
  /** The holders; empty when there are none, or none that this user may see. */
  owners: Owner[];
  /** The number of further descriptors that refer to it, when `owners` would be too long. */
  ownersLeftOut?: number;
  /** null when no timer runs. */
  timer: Timer | null;
  /** Only when it was asked for; null where the kernel says nothing. */
  tcpInfo?: Info | null;
  /** Only when it was asked for; null where it could not be read. */
  keepalive?: Keepalive | null;
  /** The times after which that keepalive notices a dead peer. */
  deadPeerNoticed?: Noticed | null;
  /** The keepalive before, only when keepalive was to be set; null where it could not be read. */
  before?: KeepaliveSettings | null;
  /** The keepalive now; in a dry run, as planned. */
  after?: KeepaliveSettings | null;
  /** The options that the kernel did not take. */
  refused?: readonly RefusedOption[];
  /** null until something was done, and in a plain list. */
  outcome: Outcome | null;
  /** The reason, when the outcome is not the one that was asked for. */
  error: string | null;
}

/**
 * Returns a text that identifies a connection or a listener among all namespaces, for as long as it lives: its cookie. An
 * MPTCP connection may show its listener's cookie, so there it is the namespace, the addresses and the ports.
 */
export function identityOf(connection: Connection): string {
  const { protocol, state, netns, cookie } = connection;
  return protocol === "tcp" || state === "LISTEN" ? cookie : `${netns}/${endsOf(connection)}`;
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
  /** The state's number: see ./tcp_states.ts. */
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
