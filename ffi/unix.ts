// unix(7): a pair of sockets, and messages with descriptors.

import { isSyscallError } from "./errno.ts";
import { setsockoptBytes, SO_RCVTIMEO, SOCK_CLOEXEC, SOL_SOCKET } from "./socket.ts";
import { Descriptor } from "./descriptor.ts";
import { check, lazily } from "./call.ts";
import { addressOf, allocate } from "./memory.ts";

const unixSymbols = lazily({
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
});

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SCM_RIGHTS = 1;
/** recvmsg(2) leaves the message in the queue, and each call makes new descriptors. */
export const MSG_PEEK = 2;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** socketpair(2) of SOCK_SEQPACKET: two connected sockets that keep message boundaries. */
export function socketpair(): [Descriptor, Descriptor] {
  const pair = new Int32Array(2);
  check("socketpair", unixSymbols().socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
  return [new Descriptor(pair[0]!), new Descriptor(pair[1]!)];
}

/** Sets SO_RCVTIMEO: a receiving call that has waited so long fails with EAGAIN. */
export function setReceiveTimeout(socket: Descriptor, seconds: number): void {
  const timeval = new BigInt64Array([BigInt(seconds), 0n]);
  setsockoptBytes(socket, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(timeval.buffer));
}

const HEADER = 56;
const IOVEC = 16;
const CMSG_HEADER = 16;
const TEXT_SIZE = 1024;
const MAX_DESCRIPTORS = 4;

/** A `struct msghdr` and the memory that it points at: one buffer of text, and space for descriptors. */
class MessageHeader {
  readonly bytes = allocate(HEADER + IOVEC + CMSG_HEADER + MAX_DESCRIPTORS * 4 + TEXT_SIZE);
  readonly view = new DataView(this.bytes.buffer);
  readonly control = HEADER + IOVEC;
  readonly text = this.bytes.subarray(this.control + CMSG_HEADER + MAX_DESCRIPTORS * 4);

  constructor(textLength: number, controlLength: number) {
    const { view } = this;
    const base = addressOf(this.bytes);
    // msghdr {name @0, namelen @8, iov @16, iovlen @24, control @32, controllen @40, flags @48}
    view.setBigUint64(16, base + BigInt(HEADER), true);
    view.setBigUint64(24, 1n, true);
    view.setBigUint64(32, base + BigInt(this.control), true);
    view.setBigUint64(40, BigInt(controlLength), true);
    view.setBigUint64(HEADER, base + BigInt(this.text.byteOffset), true);
    view.setBigUint64(HEADER + 8, BigInt(textLength), true);
  }
}

/** A message of up to 1024 bytes of text, with descriptors. */
export interface Message {
  readonly text: string;
  readonly descriptors: readonly Descriptor[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * sendmsg(2) with SCM_RIGHTS. The message holds duplicates of the descriptors, which stay open in it.
 *
 * @throws {SyscallError} `EPIPE` when the other end is closed.
 */
export function send({ text, descriptors }: Message, socket: Descriptor): void {
  const bytes = encoder.encode(text).subarray(0, TEXT_SIZE);
  const controlLength = descriptors.length === 0 ? 0 : CMSG_HEADER + descriptors.length * 4;
  const message = new MessageHeader(bytes.length, controlLength);
  const { view, control } = message;
  message.text.set(bytes);
  // cmsghdr {u64 len; s32 level, type}
  view.setBigUint64(control, BigInt(controlLength), true);
  view.setInt32(control + 8, SOL_SOCKET, true);
  view.setInt32(control + 12, SCM_RIGHTS, true);
  descriptors.forEach(({ number }, i) => view.setInt32(control + CMSG_HEADER + i * 4, number, true));
  check("sendmsg", unixSymbols().sendmsg(socket.number, message.bytes, MSG_NOSIGNAL));
}

/** recvmsg(2). Returns null when the other end is closed and no message is left. */
export function receive(socket: Descriptor, flags = 0): Message | null {
  const message = new MessageHeader(TEXT_SIZE, CMSG_HEADER + MAX_DESCRIPTORS * 4);
  const length = receiveUninterrupted(socket, message.bytes, flags | MSG_CMSG_CLOEXEC);
  if (length === 0) return null;
  const { view, control } = message;
  const controlLength = Number(view.getBigUint64(40, true));
  const descriptors: Descriptor[] = [];
  for (let offset = CMSG_HEADER; offset + 4 <= controlLength; offset += 4) {
    descriptors.push(new Descriptor(view.getInt32(control + offset, true)));
  }
  return { text: decoder.decode(message.text.subarray(0, length)), descriptors };
}

function receiveUninterrupted(socket: Descriptor, message: Uint8Array, flags: number): number {
  for (;;) {
    try {
      return check("recvmsg", unixSymbols().recvmsg(socket.number, message, flags));
    } catch (error) {
      // ECONNRESET says, once and before anything else, that the other end was closed with messages in it that nobody had
      // read. What it has sent itself is still to be had.
      if (!isSyscallError(error, "EINTR", "ECONNRESET")) throw error;
    }
  }
}
