// A netlink(7) socket of the family NETLINK_SOCK_DIAG, reduced to what a request and its replies need.

import {
  AF_NETLINK,
  MSG_TRUNC,
  NETLINK_SOCK_DIAG,
  recv,
  send,
  setsockoptBytes,
  SO_RCVTIMEO,
  SOCK_NONBLOCK,
  SOCK_RAW,
  socket,
  SOL_SOCKET,
} from "../../../ffi/socket.ts";
import type { Descriptor } from "../../../ffi/descriptor.ts";

/** Carries requests to sock_diag and datagrams back. Tests give one of their own. */
export interface Transport {
  /** Sends one request. */
  send(request: Uint8Array): void;
  /** Receives one datagram. Returns its whole length, which is more than the buffer's when it was cut short. */
  receive(buffer: Uint8Array): number;
  close(): void;
}

/** The kernel answers at once; this only keeps a lost answer from holding the process forever. */
const RECEIVE_TIMEOUT_S = 10n;

/**
 * Opens a netlink socket. It stays in the network namespace in which it was opened.
 *
 * @throws {SyscallError} `EPROTONOSUPPORT` where the kernel has no sock_diag.
 */
export function openNetlink(): Descriptor {
  const netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  setsockoptBytes(netlink, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(new BigInt64Array([RECEIVE_TIMEOUT_S, 0n]).buffer));
  return netlink;
}

/** Opens one from which a read fails that finds nothing. */
export function openNetlinkNonblocking(): Descriptor {
  return socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
}

/** Opens a transport to the kernel, of the same namespace and with the same errors. */
export function openTransport(): Transport {
  const netlink = openNetlink();
  return {
    send: (request) => void send(netlink, request),
    receive: (buffer) => recv(netlink, buffer, MSG_TRUNC),
    close: () => netlink.close(),
  };
}
