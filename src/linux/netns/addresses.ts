// Which addresses are a network namespace's own, asked of rtnetlink(7).

import { isSyscallError, SyscallError } from "../../../ffi/errno.ts";
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  MSG_TRUNC,
  NETLINK_ROUTE,
  recv,
  send,
  setsockopt,
  setsockoptBytes,
  SO_RCVTIMEO,
  SOCK_RAW,
  socket,
  SOL_SOCKET,
} from "../../../ffi/socket.ts";
import { aboutList } from "../../../ffi/progress.ts";
import { hostPrefix, ipv4, type Prefix } from "../../model/address.ts";
import {
  align4,
  encodeMessage,
  GarbledMessage,
  messageErrno,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGHDR_SIZE,
} from "../netlink/message.ts";
import {
  decodeAddress,
  decodeLocalRoute,
  encodeAddressRequest,
  encodeRouteRequest,
  RTM_GETADDR,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWROUTE,
} from "../netlink/rtnetlink.ts";
import { Unsupported } from "../../model/errors.ts";

/** What is an end of a connection on this very host whatever is configured: loopback, and no address at all. */
const ALWAYS: readonly Prefix[] = [
  { words: [0, 0, 0xffff, 0x7f000000], length: 96 + 8 },
  hostPrefix(ipv4(0)),
  hostPrefix({ words: [0, 0, 0, 1] }),
  hostPrefix({ words: [0, 0, 0, 0] }),
];

/** A netlink socket of the family NETLINK_ROUTE. Tests give one of their own. */
export interface Route {
  send(request: Uint8Array): void;
  /** Receives one datagram. Returns its whole length, which is more than the buffer's when it was cut short. */
  receive(buffer: Uint8Array): number;
  close(): void;
}

/**
 * The addresses that the namespace this thread is in has now: those of its interfaces, whichever routing table they
 * serve (VRF), and what else its `local` table delivers to itself (whole prefixes, anycast); loopback always.
 *
 * @throws {Unsupported} When they change faster than they can be read: what is missing in a list is not gone.
 */
export function localAddresses(open: () => Route = openRoute): Prefix[] {
  const route = open();
  try {
    const lists = [AF_INET, AF_INET6].flatMap((family) => [
      list(route, RTM_GETADDR, encodeAddressRequest(family), RTM_NEWADDR, decodeAddress),
      list(route, RTM_GETROUTE, encodeRouteRequest(family), RTM_NEWROUTE, decodeLocalRoute),
    ]);
    return [...ALWAYS, ...lists.flat()];
  } finally {
    route.close();
  }
}

const SOL_NETLINK = 270;
/** The kernel then sends only the routing table that was asked for, and not a whole Internet of routes. Linux ≥ 4.20. */
const NETLINK_GET_STRICT_CHK = 12;
const RECEIVE_TIMEOUT_S = 10n;

function openRoute(): Route {
  const route = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  setsockoptBytes(route, SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(new BigInt64Array([RECEIVE_TIMEOUT_S, 0n]).buffer));
  setsockopt(route, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  return {
    send: (request) => void send(route, request),
    receive: (buffer) => recv(route, buffer, MSG_TRUNC),
    close: () => route.close(),
  };
}

type Decode = (view: DataView, offset: number, end: number) => Prefix | null;

/** A dump takes less than a millisecond, and only one that a change falls into is disturbed. */
const ATTEMPTS = 100;

/** A dump; once more when it was disturbed by a change. */
function list(route: Route, request: number, payload: Uint8Array, reply: number, decode: Decode): Prefix[] {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    aboutList(false);
    route.send(encodeMessage(request, NLM_F_REQUEST | NLM_F_DUMP, attempt, payload));
    try {
      const prefixes = receive(route, attempt, reply, decode);
      if (prefixes !== null) return prefixes;
    } catch (error) {
      // A family that is switched off, or a table that has nothing in it yet.
      if (isSyscallError(error, "ENOENT", "EAFNOSUPPORT", "EOPNOTSUPP")) return [];
      if (!(error instanceof GarbledMessage)) throw error;
    }
  }
  throw new Unsupported(
    "The addresses of this host change faster than they can be read, so which are gone is unknown",
    {
      passing: true,
    },
  );
}

/** Returns null for a dump that was disturbed. */
function receive(route: Route, sequence: number, reply: number, decode: Decode): Prefix[] | null {
  const buffer = new Uint8Array(64 * 1024);
  const view = new DataView(buffer.buffer);
  const prefixes: Prefix[] = [];
  let whole = true;
  for (;;) {
    const received = route.receive(buffer);
    if (received > buffer.length) throw new SyscallError("recv", 90);
    for (let offset = 0; offset + NLMSGHDR_SIZE <= received;) {
      const length = view.getUint32(offset, true);
      const end = offset + length;
      if (length < NLMSGHDR_SIZE || end > received) return null;
      const [type, flags] = [view.getUint16(offset + 4, true), view.getUint16(offset + 6, true)];
      if (view.getUint32(offset + 8, true) === sequence) {
        if (flags & NLM_F_DUMP_INTR) whole = false;
        if (type === NLMSG_DONE || type === NLMSG_ERROR) {
          const errno = messageErrno(view, offset, end);
          if (errno === null) return null;
          if (errno !== 0) throw new SyscallError("rtnetlink dump", errno);
          return whole ? prefixes : null;
        }
        const prefix = type === reply ? decode(view, offset + NLMSGHDR_SIZE, end) : null;
        if (prefix !== null) prefixes.push(prefix);
      }
      offset += align4(length);
    }
  }
}
