// socket(7) and tcp(7): sockets, what may be asked of them, and the numbers of their options, the same on every
// architecture.

import { check, checkCall, checkInterruptible, lazily } from "./call.ts";
import { Descriptor } from "./descriptor.ts";
import { beginCall, endCall } from "./progress.ts";

/** The symbols that netlink takes, which almost every command uses. */
const socketSymbols = lazily({
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
});

/** The symbols for acting on a connection. */
const connectionSymbols = lazily({
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
});

/** The symbols for a listener of our own. */
const listenerSymbols = lazily({
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
});

const ioctlSymbols = lazily({ ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" } });

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;
export const IPPROTO_TCP = 6;
export const IPPROTO_MPTCP = 262;
export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;

export const MSG_DONTWAIT = 0x40;
/** recv(2) returns the datagram's whole length, also where the buffer was shorter. */
export const MSG_TRUNC = 0x20;

export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
export const SO_KEEPALIVE = 9;
export const SO_LINGER = 13;
export const SO_RCVTIMEO = 20;
/** The peer's address, in SYN-SENT too, unlike getpeername(2). The value must be no longer than the family's address. */
export const SO_PEERNAME = 28;
/** 1 for a socket that listens. */
export const SO_ACCEPTCONN = 30;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;
const SO_COOKIE = 57;
/** A number of 64 bits that a network namespace keeps for its life. Linux ≥ 5.14. */
export const SO_NETNS_COOKIE = 71;
/** The index of the interface that a socket is bound to, 0 for none. */
export const SO_BINDTOIFINDEX = 62;

export const TCP_MAXSEG = 2;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_SYNCNT = 7;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_WINDOW_CLAMP = 10;
export const TCP_USER_TIMEOUT = 18;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

/** socket(2), with SOCK_CLOEXEC. */
export function socket(domain: number, type: number, protocol: number): Descriptor {
  return new Descriptor(check("socket", socketSymbols().socket(domain, type | SOCK_CLOEXEC, protocol)));
}

/** send(2) to the connected or default peer, repeated when a signal interrupts it. Returns the bytes sent. */
export function send(socket: Descriptor, bytes: Uint8Array, flags = 0): number {
  const { sendto } = socketSymbols();
  const length = BigInt(bytes.length);
  return checkInterruptible("sendto", () => sendto(socket.number, bytes, length, flags, null, 0));
}

/** recv(2), repeated when a signal interrupts it. Returns the bytes received. */
export function recv(socket: Descriptor, buffer: Uint8Array, flags: number): number {
  const { recv } = socketSymbols();
  const length = BigInt(buffer.length);
  return checkInterruptible("recv", () => recv(socket.number, buffer, length, flags));
}

const int = new Int32Array(1);
const optlen = new Int32Array(1);

/** setsockopt(2) of an option whose value is bytes. */
export function setsockoptBytes(socket: Descriptor, level: number, option: number, value: Uint8Array): void {
  checkCall("setsockopt", () => socketSymbols().setsockopt(socket.number, level, option, value, value.length));
}

/** setsockopt(2) of an option whose value is an int. */
export function setsockopt(socket: Descriptor, level: number, option: number, value: number): void {
  int[0] = value;
  checkCall("setsockopt", () => socketSymbols().setsockopt(socket.number, level, option, int, 4));
}

/** getsockopt(2) of an option whose value is bytes. Fills `value` and returns the length that the kernel wrote. */
export function getsockoptBytes(socket: Descriptor, level: number, option: number, value: Uint8Array): number {
  optlen[0] = value.length;
  checkCall("getsockopt", () => connectionSymbols().getsockopt(socket.number, level, option, value, optlen));
  return optlen[0]!;
}

/** getsockopt(2) of an option whose value is an int. */
export function getsockopt(socket: Descriptor, level: number, option: number): number {
  int[0] = 0;
  optlen[0] = 4;
  checkCall("getsockopt", () => connectionSymbols().getsockopt(socket.number, level, option, int, optlen));
  return int[0]!;
}

const cookie = new Int32Array(2);

/**
 * SO_COOKIE of socket(7): a number that a socket keeps for its life and that no other socket has had since boot. Calls
 * `use` with its lower and its upper 32 bits, and returns the result.
 */
export function socketCookie<T>(socket: Descriptor, use: (low: number, high: number) => T): T {
  optlen[0] = 8;
  checkCall("getsockopt", () => connectionSymbols().getsockopt(socket.number, SOL_SOCKET, SO_COOKIE, cookie, optlen));
  return use(cookie[0]! >>> 0, cookie[1]! >>> 0);
}

/** getpeername(2): the peer's `struct sockaddr`. */
export function getpeername(socket: Descriptor): Uint8Array {
  const address = new Uint8Array(128);
  optlen[0] = address.length;
  checkCall("getpeername", () => connectionSymbols().getpeername(socket.number, address, optlen));
  return address.subarray(0, optlen[0]);
}

/** getsockname(2) into `address`, which costs no memory. Returns the length of the `struct sockaddr`. */
export function getsocknameInto(socket: Descriptor, address: Uint8Array): number {
  optlen[0] = address.length;
  checkCall("getsockname", () => connectionSymbols().getsockname(socket.number, address, optlen));
  return optlen[0]!;
}

/** getsockname(2): the socket's own `struct sockaddr`. */
export function getsockname(socket: Descriptor): Uint8Array {
  const address = new Uint8Array(128);
  return address.subarray(0, getsocknameInto(socket, address));
}

/** shutdown(2). */
export function shutdown(socket: Descriptor, how: number): void {
  checkCall("shutdown", () => connectionSymbols().shutdown(socket.number, how));
}

/** connect(2) to a `struct sockaddr`. */
export function connect(socket: Descriptor, address: Uint8Array): void {
  const { connect } = connectionSymbols();
  beginCall();
  const result = connect(socket.number, address, address.length);
  endCall();
  check("connect", result);
}

/** bind(2) to a `struct sockaddr`. */
export function bind(socket: Descriptor, address: Uint8Array): void {
  check("bind", listenerSymbols().bind(socket.number, address, address.length));
}

/** listen(2). */
export function listen(socket: Descriptor, backlog: number): void {
  check("listen", listenerSymbols().listen(socket.number, backlog));
}

/** accept4(2), with SOCK_CLOEXEC. */
export function accept(socket: Descriptor): Descriptor {
  return new Descriptor(check("accept4", listenerSymbols().accept4(socket.number, null, null, SOCK_CLOEXEC)));
}

/** Requests of tcp(7), which <asm-generic/ioctls.h> numbers. */
const SIOCINQ = 0x541bn;
const SIOCOUTQ = 0x5411n;

function readQueue(socket: Descriptor, request: bigint): number {
  checkCall("ioctl", () => ioctlSymbols().ioctl(socket.number, request, int));
  return int[0]!;
}

/** SIOCINQ: bytes received and not yet read. */
export function receiveQueue(socket: Descriptor): number {
  return readQueue(socket, SIOCINQ);
}

/** SIOCOUTQ: bytes written and not yet acknowledged by the peer, a FIN counted as one. */
export function sendQueue(socket: Descriptor): number {
  return readQueue(socket, SIOCOUTQ);
}
