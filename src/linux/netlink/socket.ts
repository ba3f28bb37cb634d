// Netlink sockets, reduced to what a request and its replies need: netlink(7).

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

/** Carries requests to the kernel and datagrams back. Tests implement it without a kernel. */
export interface Transport {
  /** Sends one request. */
  send(request: Uint8Array): void;
  /** Receives one datagram. Returns its whole length, which is more than the buffer's when it was cut short. */
  receive(buffer: Uint8Array): number;
  close(): void;
}

/** The kernel answers at once. The timeout keeps a lost answer from blocking the process forever. */
const RECEIVE_TIMEOUT_S = 10n;

/**
 * Opens a netlink socket of a protocol, such as NETLINK_SOCK_DIAG. The socket stays in the network namespace in which it was
 * opened.
 *
 * @throws {SyscallError} `EPROTONOSUPPORT` where the kernel does not have the protocol.
 */
export function openNetlink(protocol: number): Descriptor {
  const netlink = socket(AF_NETLINK, SOCK_RAW, protocol);
  setsockoptBytes(netlink, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(new BigInt64Array([RECEIVE_TIMEOUT_S, 0n]).buffer));
  return netlink;
}

/** Opens a socket of NETLINK_SOCK_DIAG that never blocks: a read that finds nothing fails with EAGAIN. */
export function openSockDiagNonblocking(): Descriptor {
  return socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
}

/** Opens a transport to sock_diag. Throws as `openNetlink`. */
export function openSockDiag(): Transport {
  return transportOver(openNetlink(NETLINK_SOCK_DIAG));
}

/** Returns a transport that owns `netlink`, and closes it. */
export function transportOver(netlink: Descriptor): Transport {
  return {
    send: (request) => void send(netlink, request),
    receive: (buffer) => recv(netlink, buffer, MSG_TRUNC),
    close: () => netlink.close(),
  };
}
