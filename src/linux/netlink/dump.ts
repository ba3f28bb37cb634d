// A dump of netlink(7): the datagrams that answer a request with NLM_F_DUMP, up to the one with NLMSG_DONE.

import { SyscallError } from "../../../ffi/errno.ts";
import {
  align4,
  GarbledMessageError,
  messageErrno,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGHDR_SIZE,
} from "./message.ts";
import type { Transport } from "./socket.ts";

/**
 * The state of a dump after a datagram: more datagrams come; more come, but the list changed while the kernel wrote it; the
 * datagram contradicts itself; or the dump is complete.
 */
export type DumpProgress = "more" | "disturbed" | "garbled" | "end";

/** Gets the type of a message, and where its payload begins and ends. */
export type EachMessage = (type: number, offset: number, end: number) => void;

/**
 * Reads one datagram of a dump, and calls `each` for every message in it. Messages of other dumps are passed over.
 *
 * @param name Names the dump in errors: `sock_diag dump`.
 * @throws {SyscallError} The error that the kernel answers with, or ends the dump with.
 */
export function readDatagram(view: DataView, sequence: number, name: string, each: EachMessage): DumpProgress {
  try {
    return readMessages(view, sequence, name, each);
  } catch (error) {
    if (error instanceof GarbledMessageError) return "garbled";
    throw error;
  }
}

function readMessages(view: DataView, sequence: number, name: string, each: EachMessage): DumpProgress {
  let disturbed = false;
  for (let offset = 0; offset < view.byteLength;) {
    if (offset + NLMSGHDR_SIZE > view.byteLength) return "garbled";
    const length = view.getUint32(offset, true);
    const end = offset + length;
    if (length < NLMSGHDR_SIZE || end > view.byteLength) return "garbled";
    if (view.getUint32(offset + 8, true) === sequence) {
      const type = view.getUint16(offset + 4, true);
      if (view.getUint16(offset + 6, true) & NLM_F_DUMP_INTR) disturbed = true;
      if (type === NLMSG_DONE || type === NLMSG_ERROR) {
        const errno = messageErrno(view, offset, end);
        if (errno === null) return "garbled";
        if (errno !== 0) throw new SyscallError(name, errno);
        return disturbed ? "garbled" : "end";
      }
      each(type, offset + NLMSGHDR_SIZE, end);
    }
    offset += align4(length);
  }
  return disturbed ? "disturbed" : "more";
}

/** A buffer for datagrams. `receiveDump` enlarges it when a datagram does not fit. */
export class DatagramBuffer {
  /** Today's kernels send no longer datagrams in a dump, and most of their lists fit in few. */
  bytes = new Uint8Array(64 * 1024);
}

/**
 * Receives a dump to its end.
 *
 * @returns Whether the dump is complete and consistent. If not, it has to be asked for again.
 * @throws {SyscallError} As `read`, which is called with each datagram.
 */
export function receiveDump(
  transport: Transport,
  buffer: DatagramBuffer,
  read: (datagram: DataView) => DumpProgress,
): boolean {
  let consistent = true;
  for (;;) {
    const received = transport.receive(buffer.bytes);
    if (received > buffer.bytes.length) {
      buffer.bytes = new Uint8Array(align4(received));
      return false;
    }
    // After an empty datagram NLMSG_DONE would be waited for forever.
    if (received === 0) return false;
    const progress = read(new DataView(buffer.bytes.buffer, 0, received));
    if (progress === "disturbed") consistent = false;
    if (progress === "garbled") return false;
    if (progress === "end") return consistent;
  }
}
