// sock_diag(7) as three operations: list sockets, look one socket up, destroy one socket.

import { ENOBUFS, ENOENT, isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import { AF_UNSPEC } from "../../../ffi/socket.ts";
import { noteDump } from "../../../ffi/progress.ts";
import {
  encodeRequest,
  encodeTcpRequest,
  extension,
  INET_DIAG_INFO,
  INET_DIAG_REQ_BYTECODE,
  INET_DIAG_REQ_PROTOCOL,
  InetDiagMsg,
  MSG_SIZE,
  SOCK_DESTROY,
  SOCK_DIAG_BY_FAMILY,
  type SockId,
  TCPDIAG_GETSOCK,
} from "./inet_diag.ts";
import { DatagramBuffer, type DumpProgress, readDatagram, receiveDump } from "./dump.ts";
import {
  encodeAttribute,
  encodeMessage,
  messageErrno,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  NLMSGHDR_SIZE,
} from "./message.ts";
import { openSockDiag, type Transport } from "./socket.ts";

/** A request for a list of sockets. */
export interface DumpRequest {
  /** AF_INET or AF_INET6; for TCP also AF_UNSPEC, which is both. */
  readonly family: number;
  /** IPPROTO_TCP or IPPROTO_MPTCP. */
  readonly protocol: number;
  /** Mask of 1 << state. */
  readonly states: number;
  /** Bits of the reply attributes to ask for: see `extension()`. */
  readonly extensions: number;
  /** The kernel's filter, null for none. */
  readonly bytecode: Uint8Array | null;
}

/** The attempts at a dump before it fails. */
const ATTEMPTS = 4;

/** Encodes the message that asks for a dump. */
export function encodeDump(request: DumpRequest, sequence: number): Uint8Array {
  const both = request.family === AF_UNSPEC;
  const type = both ? TCPDIAG_GETSOCK : SOCK_DIAG_BY_FAMILY;
  const payload = both ? encodeTcpRequest(request) : encodeRequest(request);
  const attributes = both ? [] : [encodeAttribute(INET_DIAG_REQ_PROTOCOL, u32(request.protocol))];
  if (request.bytecode) attributes.push(encodeAttribute(INET_DIAG_REQ_BYTECODE, request.bytecode));
  return encodeMessage(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload, attributes);
}

/** Names the dump in errors. */
const DUMP = "sock_diag dump";

/**
 * Reads one datagram of a dump: moves `row` to each socket in it, and calls `each` with it.
 *
 * @throws {SyscallError} The error that the kernel answers with, or ends the dump with.
 */
export function readSockets(
  view: DataView,
  sequence: number,
  row: InetDiagMsg,
  each: (row: InetDiagMsg) => void,
): DumpProgress {
  return readDatagram(view, sequence, DUMP, (type, offset, end) => {
    if (type === SOCK_DIAG_BY_FAMILY || type === TCPDIAG_GETSOCK) each(row.at(view, offset, end));
  });
}

/** A connection to the kernel's sock_diag, in the network namespace in which it was first used. */
export class SockDiag {
  readonly #open: () => Transport;
  #transport: Transport | null = null;
  readonly #buffer = new DatagramBuffer();
  #sequence = 0;
  readonly #row = new InetDiagMsg();

  constructor(open: () => Transport = openSockDiag) {
    this.#open = open;
  }

  /**
   * Calls `each` for every socket that the kernel lists. The row is valid only during the call. A dump that is incomplete
   * (a lost or truncated datagram) is repeated, so that `each` may get a socket twice.
   *
   * @throws {SyscallError} `ENOENT` where the kernel lacks the protocol's diag module, `EINVAL` for a filter that it
   * refuses, `ENOBUFS` when every attempt was disturbed.
   */
  dump(request: DumpRequest, each: (row: InetDiagMsg) => void): void {
    for (let attempt = 1;; attempt++) {
      const sequence = ++this.#sequence;
      noteDump((request.extensions & extension(INET_DIAG_INFO)) !== 0);
      this.#send(encodeDump(request, sequence));
      try {
        const read = (datagram: DataView) => readSockets(datagram, sequence, this.#row, each);
        if (receiveDump(this.#transport!, this.#buffer, read)) return;
      } catch (error) {
        this.close();
        // The errno for a missing module depends on the request.
        if (request.family === AF_UNSPEC && isSyscallError(error, "EOPNOTSUPP")) {
          throw new SyscallError(error.syscall, ENOENT);
        }
        // EAGAIN is the receive timeout: the end of the dump is lost.
        if (!isSyscallError(error, "ENOBUFS", "EAGAIN") || attempt === ATTEMPTS) throw error;
        continue;
      }
      this.close();
      if (attempt === ATTEMPTS) throw new SyscallError(DUMP, ENOBUFS);
    }
  }

  /**
   * Aborts one TCP socket (SOCK_DESTROY): its peer is sent a RST. The id must carry the cookie; without it the kernel could
   * find the listener in place of a connection that has gone.
   *
   * @throws {SyscallError} `ENOENT` when the socket has gone; `EPERM` without CAP_NET_ADMIN in the user namespace of the
   * network namespace; `EOPNOTSUPP` where the kernel lacks CONFIG_INET_DIAG_DESTROY, and for MPTCP.
   */
  destroy(protocol: number, id: SockId): void {
    const errno = this.#ask(SOCK_DESTROY, protocol, id, () => {});
    if (errno !== 0) throw new SyscallError("SOCK_DESTROY", errno);
  }

  /**
   * Returns the state of one TCP socket, which the kernel finds by its ends and compares by its cookie; null when there is
   * none. Where no connection has these ends the kernel looks for a listener on the local end, so that the state may be
   * LISTEN.
   */
  stateOf(protocol: number, id: SockId): number | null {
    let state: number | null = null;
    const errno = this.#ask(SOCK_DIAG_BY_FAMILY, protocol, id, (row) => state = row.state);
    if (errno !== 0 && errno !== ENOENT) throw new SyscallError("sock_diag", errno);
    return state;
  }

  /** Sends a request about one socket. Calls `each` for the row in the answer, and returns the errno, 0 for none. */
  #ask(type: number, protocol: number, id: SockId, each: (row: InetDiagMsg) => void): number {
    const payload = encodeRequest({ family: id.family, protocol, id });
    const sequence = ++this.#sequence;
    this.#send(encodeMessage(type, NLM_F_REQUEST | NLM_F_ACK, sequence, payload));
    for (;;) {
      const { bytes } = this.#buffer;
      const received = Math.min(this.#transport!.receive(bytes), bytes.length);
      const view = new DataView(bytes.buffer, 0, received);
      if (received < NLMSGHDR_SIZE || view.getUint32(8, true) !== sequence) continue;
      const answer = view.getUint16(4, true);
      if (answer === SOCK_DIAG_BY_FAMILY && received >= NLMSGHDR_SIZE + MSG_SIZE) {
        each(this.#row.at(view, NLMSGHDR_SIZE, received));
      }
      const errno = answer === NLMSG_ERROR ? messageErrno(view, 0, received) : null;
      if (errno !== null) return errno;
    }
  }

  #send(message: Uint8Array): void {
    this.#transport ??= this.#open();
    this.#transport.send(message);
  }

  close(): void {
    this.#transport?.close();
    this.#transport = null;
  }
}

function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}
