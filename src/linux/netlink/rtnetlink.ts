// rtnetlink(7), for the addresses of a network namespace: `struct ifaddrmsg` of
// <linux/if_addr.h> and `struct rtmsg` of <linux/rtnetlink.h>. Integers are in host order, addresses in network order.

import { AF_INET, AF_INET6 } from "../../../ffi/socket.ts";
import { hostPrefix, ipv4, maskWords, type Prefix, type Words } from "../../model/address.ts";
import { findAttribute, GarbledMessageError } from "./message.ts";

export const RTM_NEWADDR = 20;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_GETROUTE = 26;

/** sizeof(struct ifaddrmsg): {u8 family, prefixlen, flags, scope; u32 index} */
const IFADDRMSG_SIZE = 8;
/** sizeof(struct rtmsg): {u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags} */
const RTMSG_SIZE = 12;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RTA_DST = 1;

/** The table that the kernel fills with the host's own addresses. */
const RT_TABLE_LOCAL = 255;
const RTN_LOCAL = 2;
const RTN_ANYCAST = 4;

/** `struct ifaddrmsg` that asks for the addresses of a family. */
export function encodeAddressRequest(family: number): Uint8Array {
  const bytes = new Uint8Array(IFADDRMSG_SIZE);
  bytes[0] = family;
  return bytes;
}

/** `struct rtmsg` that asks for the `local` table of a family. The kernel may send other tables too. */
export function encodeRouteRequest(family: number): Uint8Array {
  const bytes = new Uint8Array(RTMSG_SIZE);
  bytes[0] = family;
  bytes[4] = RT_TABLE_LOCAL;
  return bytes;
}

/**
 * Returns the address in the RTM_NEWADDR whose payload lies from `offset` to `end`; null for one without, and for another
 * family.
 *
 * @throws {GarbledMessageError} When its lengths contradict each other.
 */
export function decodeAddress(view: DataView, offset: number, end: number): Prefix | null {
  const family = familyOf(view, offset, end, IFADDRMSG_SIZE);
  if (family === null) return null;
  const attributes = offset + IFADDRMSG_SIZE;
  // On a point-to-point link IFA_ADDRESS is the other end.
  const words = find(view, attributes, end, IFA_LOCAL, family) ?? find(view, attributes, end, IFA_ADDRESS, family);
  return words && hostPrefix({ words });
}

/**
 * Returns the destination of the RTM_NEWROUTE whose payload lies from `offset` to `end`, when it is in the `local` table
 * and leads to this host itself; else null.
 *
 * @throws {GarbledMessageError} When its lengths contradict each other, or the prefix is longer than the address.
 */
export function decodeLocalRoute(view: DataView, offset: number, end: number): Prefix | null {
  const family = familyOf(view, offset, end, RTMSG_SIZE);
  if (family === null) return null;
  const length = view.getUint8(offset + 1);
  const table = view.getUint8(offset + 4);
  const type = view.getUint8(offset + 7);
  if (table !== RT_TABLE_LOCAL || (type !== RTN_LOCAL && type !== RTN_ANYCAST)) return null;
  const canonical = family === AF_INET ? length + 96 : length;
  if (canonical > 128) throw new GarbledMessageError(`a route has a prefix of ${length} bits`);
  // A route without a destination is the default route.
  const words = find(view, offset + RTMSG_SIZE, end, RTA_DST, family) ?? allOf(family);
  return { words: maskWords(words, canonical), length: canonical };
}

/** Returns the family, at the start of the struct, if it is one with addresses; else null. */
function familyOf(view: DataView, offset: number, end: number, size: number): number | null {
  if (end - offset < size) throw new GarbledMessageError("an rtnetlink message is shorter than its struct");
  const family = view.getUint8(offset);
  return family === AF_INET || family === AF_INET6 ? family : null;
}

function allOf(family: number): Words {
  return family === AF_INET ? ipv4(0).words : [0, 0, 0, 0];
}

function find(view: DataView, from: number, end: number, type: number, family: number): Words | null {
  const offset = findAttribute(view, from, end, type, family === AF_INET ? 4 : 16);
  if (offset < 0) return null;
  const word = (i: number) => view.getUint32(offset + 4 * i);
  return family === AF_INET ? ipv4(word(0)).words : [word(0), word(1), word(2), word(3)];
}
