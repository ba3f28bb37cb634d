// rtnetlink(7), as far as it says which addresses are a network namespace's own: `struct ifaddrmsg` of
// <linux/if_addr.h> and `struct rtmsg` of <linux/rtnetlink.h>. Integers are in host order, addresses in network order.

import { hostPrefix, ipv4, maskWords, type Prefix, type Words } from "../address.ts";
import { align4, NLATTR_SIZE } from "./message.ts";

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

/** The table that the kernel itself fills with the host's own addresses. */
const RT_TABLE_LOCAL = 255;
const RTN_LOCAL = 2;
const RTN_ANYCAST = 4;

const AF_INET = 2;

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

/** The address in the RTM_NEWADDR whose payload lies from `offset` to `end`; null for one without. */
export function decodeAddress(view: DataView, offset: number, end: number): Prefix | null {
  const family = view.getUint8(offset);
  const attributes = offset + IFADDRMSG_SIZE;
  // On a point-to-point link IFA_ADDRESS is the other end.
  const address = find(view, attributes, end, IFA_LOCAL) ?? find(view, attributes, end, IFA_ADDRESS);
  const words = address && wordsOf(view, address, family);
  return words && hostPrefix({ words });
}

/**
 * The destination of the RTM_NEWROUTE whose payload lies from `offset` to `end`, when it is in the `local` table and
 * leads to this host itself; else null.
 */
export function decodeLocalRoute(view: DataView, offset: number, end: number): Prefix | null {
  const [family, length] = [view.getUint8(offset), view.getUint8(offset + 1)];
  const [table, type] = [view.getUint8(offset + 4), view.getUint8(offset + 7)];
  if (table !== RT_TABLE_LOCAL || (type !== RTN_LOCAL && type !== RTN_ANYCAST)) return null;
  const destination = find(view, offset + RTMSG_SIZE, end, RTA_DST);
  // Without one it is the default: everything.
  const words = destination === null ? allOf(family) : wordsOf(view, destination, family);
  if (words === null) return null;
  const canonical = family === AF_INET ? length + 96 : length;
  return { words: maskWords(words, canonical), length: canonical };
}

function allOf(family: number): Words {
  return family === AF_INET ? ipv4(0).words : [0, 0, 0, 0];
}

interface Attribute {
  readonly offset: number;
  readonly length: number;
}

function find(view: DataView, from: number, end: number, type: number): Attribute | null {
  for (let offset = from; offset + NLATTR_SIZE <= end;) {
    const length = view.getUint16(offset, true);
    if (length < NLATTR_SIZE || offset + length > end) return null;
    if (view.getUint16(offset + 2, true) === type) {
      return { offset: offset + NLATTR_SIZE, length: length - NLATTR_SIZE };
    }
    offset += align4(length);
  }
  return null;
}

function wordsOf(view: DataView, { offset, length }: Attribute, family: number): Words | null {
  const word = (i: number) => view.getUint32(offset + 4 * i);
  if (family === AF_INET) return length < 4 ? null : ipv4(word(0)).words;
  return length < 16 ? null : [word(0), word(1), word(2), word(3)];
}
