// The options of socket(7) and tcp(7) that set the keepalive values, in the order of the setsockopt(2) calls.

import {
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SOL_SOCKET,
  TCP_DEFER_ACCEPT,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_MAXSEG,
  TCP_SYNCNT,
  TCP_USER_TIMEOUT,
  TCP_WINDOW_CLAMP,
} from "../../ffi/socket.ts";
import type { KeepaliveName, KeepaliveValues } from "./values.ts";

/** A socket option, as setsockopt(2) takes it. */
export interface SocketOption {
  /** The constant of <sys/socket.h> or <netinet/tcp.h>: `TCP_KEEPIDLE`. */
  readonly option: string;
  readonly level: number;
  /** The constant's number. */
  readonly name: number;
}

/** One call of setsockopt(2). */
export interface Step extends SocketOption {
  readonly value: number;
}

/**
 * The phase of a socket, which decides which options still have an effect: `new` (just from socket(2)), `connect` (before
 * connect(2)), `listen` (a listener, whose options accepted connections inherit), `established`.
 */
export type SocketPhase = "new" | "connect" | "listen" | "established";

const ANYWHERE: readonly SocketPhase[] = ["new", "connect", "listen", "established"];

function tcp(option: string, name: number): SocketOption {
  return { option, level: IPPROTO_TCP, name };
}

/** SO_KEEPALIVE of socket(7): it starts the timer. */
export const KEEPALIVE_SWITCH: SocketOption = { option: "SO_KEEPALIVE", level: SOL_SOCKET, name: SO_KEEPALIVE };

/**
 * The option of each value, and the phases in which it has an effect. The order is that of the calls. The keepalive timer
 * reads the interval and the count when it fires, so these come first; TCP_KEEPIDLE arms it anew where keepalive is on
 * already, and SO_KEEPALIVE, which follows it, arms it where it was off. Only then comes the user timeout, which has an
 * effect of its own: a process that is killed between two calls leaves no connection with that alone.
 */
const OPTIONS: readonly { value: KeepaliveName; option: SocketOption; phases: readonly SocketPhase[] }[] = [
  { value: "intervalS", option: tcp("TCP_KEEPINTVL", TCP_KEEPINTVL), phases: ANYWHERE },
  { value: "count", option: tcp("TCP_KEEPCNT", TCP_KEEPCNT), phases: ANYWHERE },
  { value: "idleS", option: tcp("TCP_KEEPIDLE", TCP_KEEPIDLE), phases: ANYWHERE },
  { value: "userTimeoutMs", option: tcp("TCP_USER_TIMEOUT", TCP_USER_TIMEOUT), phases: ANYWHERE },
  { value: "windowClamp", option: tcp("TCP_WINDOW_CLAMP", TCP_WINDOW_CLAMP), phases: ANYWHERE },
  // The largest segment is agreed on with the SYN, and later values change nothing.
  { value: "maxseg", option: tcp("TCP_MAXSEG", TCP_MAXSEG), phases: ["new", "connect", "listen"] },
  { value: "syncnt", option: tcp("TCP_SYNCNT", TCP_SYNCNT), phases: ["new", "connect"] },
  { value: "deferAcceptS", option: tcp("TCP_DEFER_ACCEPT", TCP_DEFER_ACCEPT), phases: ["new", "listen"] },
];

/** Returns the option that sets a value. */
export function optionOf(name: KeepaliveName): SocketOption {
  return OPTIONS.find(({ value }) => value === name)!.option;
}

/**
 * Returns the calls that turn keepalive on with `values`, or off, on a socket in that phase, in order. Values of 0 need none.
 * The other options stay as they are when keepalive is turned off.
 */
export function steps(values: KeepaliveValues | "off", phase: SocketPhase): Step[] {
  if (values === "off") return [{ ...KEEPALIVE_SWITCH, value: 0 }];
  const all: Step[] = [];
  for (const { value, option, phases } of OPTIONS) {
    if (values[value] !== 0 && phases.includes(phase)) all.push({ ...option, value: values[value] });
    if (value === "idleS") all.push({ ...KEEPALIVE_SWITCH, value: 1 });
  }
  return all;
}

/** Returns the values that are not 0 and have no effect on a socket in that phase. */
export function withoutEffect(values: KeepaliveValues, phase: SocketPhase): KeepaliveName[] {
  return OPTIONS.filter(({ value, phases }) => values[value] !== 0 && !phases.includes(phase)).map(({ value }) =>
    value
  );
}
