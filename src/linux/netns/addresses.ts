// The addresses of a network namespace, asked of rtnetlink(7).

import { withOpen } from "../../../ffi/closing.ts";
import { isSyscallError } from "../../../ffi/errno.ts";
import { AF_INET, AF_INET6, NETLINK_ROUTE, setsockopt } from "../../../ffi/socket.ts";
import { noteDump } from "../../../ffi/progress.ts";
import { hostPrefix, ipv4, type Prefix } from "../../model/address.ts";
import { UnsupportedError } from "../../model/errors.ts";
import { DatagramBuffer, readDatagram, receiveDump } from "../netlink/dump.ts";
import { encodeMessage, NLM_F_DUMP, NLM_F_REQUEST } from "../netlink/message.ts";
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
import { openNetlink, type Transport, transportOver } from "../netlink/socket.ts";

/** Addresses that are this host's own whatever is configured: loopback, and the unspecified address. */
const ALWAYS: readonly Prefix[] = [
  { words: [0, 0, 0xffff, 0x7f000000], length: 96 + 8 },
  hostPrefix(ipv4(0)),
  hostPrefix({ words: [0, 0, 0, 1] }),
  hostPrefix({ words: [0, 0, 0, 0] }),
];

/**
 * Returns the addresses that the calling thread's network namespace has now. They are the addresses of its interfaces,
 * whichever routing table these serve (VRF), and all that its `local` table delivers to itself (whole prefixes, anycast).
 * Loopback is always among them.
 *
 * @throws {UnsupportedError} When the addresses change faster than they can be read. An address that is missing in an
 * inconsistent list need not be gone.
 */
export function localAddresses(open: () => Transport = openRoute): Prefix[] {
  return withOpen(open(), (route) => {
    const lists = [AF_INET, AF_INET6].flatMap((family) => [
      listPrefixes(route, RTM_GETADDR, encodeAddressRequest(family), RTM_NEWADDR, decodeAddress),
      listPrefixes(route, RTM_GETROUTE, encodeRouteRequest(family), RTM_NEWROUTE, decodeLocalRoute),
    ]);
    return [...ALWAYS, ...lists.flat()];
  });
}

const SOL_NETLINK = 270;
/** Makes the kernel send only the routing table that was asked for, not a whole Internet of routes. Linux ≥ 4.20. */
const NETLINK_GET_STRICT_CHK = 12;

function openRoute(): Transport {
  const route = openNetlink(NETLINK_ROUTE);
  setsockopt(route, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  return transportOver(route);
}

type Decode = (view: DataView, offset: number, end: number) => Prefix | null;

/** A dump takes less than a millisecond, and only a change during that time disturbs it. */
const ATTEMPTS = 100;

/** Returns the prefixes of one consistent dump. A dump that a change disturbs is asked for again. */
function listPrefixes(route: Transport, request: number, payload: Uint8Array, reply: number, decode: Decode): Prefix[] {
  const buffer = new DatagramBuffer();
  for (let sequence = 1; sequence <= ATTEMPTS; sequence++) {
    noteDump(false);
    route.send(encodeMessage(request, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload));
    const prefixes: Prefix[] = [];
    const read = (datagram: DataView) =>
      readDatagram(datagram, sequence, "rtnetlink dump", (type, offset, end) => {
        const prefix = type === reply ? decode(datagram, offset, end) : null;
        if (prefix !== null) prefixes.push(prefix);
      });
    try {
      if (receiveDump(route, buffer, read)) return prefixes;
    } catch (error) {
      // The kernel answers so for a family that is switched off, and for a table that has never had an entry.
      if (isSyscallError(error, "ENOENT", "EAFNOSUPPORT", "EOPNOTSUPP")) return [];
      throw error;
    }
  }
  throw new UnsupportedError(
    "The addresses of this host change faster than they can be read, so which are gone is unknown",
    { passing: true },
  );
}
