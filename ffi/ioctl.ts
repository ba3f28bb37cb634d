// ioctl(2) on a socket: how much waits in its queues, as tcp(7) documents it. Numbers from <asm-generic/ioctls.h>, which
// x86-64 and aarch64 share.

import { checkCall, type Descriptor, lazily } from "./libc.ts";

const asking = lazily({ ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" } });

const FIONREAD = 0x541bn;
const TIOCOUTQ = 0x5411n;

const value = new Int32Array(1);

function ask(socket: Descriptor, request: bigint): number {
  checkCall("ioctl", () => asking().ioctl(socket.number, request, value));
  return value[0];
}

/** SIOCINQ: bytes received and not yet read. */
export function receiveQueue(socket: Descriptor): number {
  return ask(socket, FIONREAD);
}

/** SIOCOUTQ: bytes written and not yet acknowledged by the peer, a FIN counted as one. */
export function sendQueue(socket: Descriptor): number {
  return ask(socket, TIOCOUTQ);
}
