// What tcphup says of a connection: the object that goes through the pipeline, and what --json prints.

import type { State } from "./netlink/states.ts";

/** One end of a connection. */
export interface Endpoint {
  /** Canonical text: a v4-mapped address is written as IPv4. */
  address: string;
  port: number;
}

/** A process, and the descriptor by which it holds a socket. */
export interface Owner {
  pid: number;
  /** The thread, where it is one that does not share its process's descriptors. */
  tid?: number;
  /** The descriptor's number in that process. */
  fd: number;
  /** The process's name, as /proc/PID/comm has it: up to 15 bytes, any bytes. */
  comm: string;
}

/** The timer that runs on a connection, as ss(8) names it. */
export interface Timer {
  name: "on" | "keepalive" | "timewait" | "persist" | "delack" | "unknown";
  /** Milliseconds until it fires. */
  expires_ms: number;
  /** How often it has fired in a row. */
  retransmits: number;
}

/** What became of a connection. */
export type Outcome =
  /** shutdown(2) was called on it: its peer is sent a FIN. */
  | "hung-up"
  /** It was aborted: its peer is sent a RST. */
  | "destroyed"
  | "would-hang-up"
  | "would-destroy"
  /** It ended, or this end had already hung up, before anything was done. */
  | "already-gone"
  /** No process holds it, so there is no descriptor to act on. */
  | "no-owner"
  /** The user may not open the descriptor. */
  | "denied"
  /** The kernel cannot do it. */
  | "unsupported"
  /** Protected, or left alone on request. */
  | "skipped"
  /** It was hung up on, but was still there when the wait was over. */
  | "lingering"
  | "failed";

/** A connection of this host. */
export interface Connection {
  protocol: "tcp" | "mptcp";
  /** The family of the socket: `inet6` also for one that carries IPv4 (v4-mapped addresses). */
  family: "inet" | "inet6";
  state: State;
  src: Endpoint;
  dst: Endpoint;
  /** Which directions have been shut down: 1 receiving, 2 sending, 3 both (INET_DIAG_SHUTDOWN). */
  shutdown: number;
  /** Of a socket that is a subflow of an MPTCP connection: where that connection goes to. */
  subflow_of?: string;
  /** Index of the interface that the socket is bound to, 0 for none. */
  interface: number;
  /** Bytes received and not yet read by the application. */
  rqueue: number;
  /** Bytes written by the application and not yet acknowledged by the peer. */
  wqueue: number;
  /** The socket's inode number, 0 when no descriptor refers to it. */
  inode: number;
  /** SO_COOKIE in hexadecimal, as in ss's `sk:`. */
  cookie: string;
  uid: number;
  /** Inode number of the network namespace. */
  netns: number;
  owners: Owner[];
  timer: Timer | null;
  /** null until something was done, and in a plain list. */
  outcome: Outcome | null;
  /** Why, when the outcome is not what was asked for. */
  error: string | null;
}
