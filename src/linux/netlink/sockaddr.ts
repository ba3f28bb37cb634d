// `struct sockaddr_in` of <netinet/in.h>, and `struct sockaddr_in6`. The family is in host order, ports and addresses
// are in network order.

import { AF_INET, AF_INET6 } from "../../../ffi/socket.ts";
import { type Address, formatAddress, formatIPv4, ipv4, isIPv4, type Words } from "../../model/address.ts";
import type { Endpoint } from "../../model/connection.ts";

/** sizeof(struct sockaddr_in) and sizeof(struct sockaddr_in6). */
export const SOCKADDR_IN_SIZE = 16;
export const SOCKADDR_IN6_SIZE = 28;
/** sizeof(struct sockaddr_in6) without its scope, which older programs leave out. */
const SIZE_WITHOUT_SCOPE = 24;

/** Reads the address of a `struct sockaddr_in` or `sockaddr_in6`; null for any other family, and for fewer bytes. */
export function sockaddrAddress(bytes: Uint8Array): Address | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const family = bytes.length < SOCKADDR_IN_SIZE ? null : view.getUint16(0, true);
  if (family === AF_INET) return ipv4(view.getUint32(4));
  if (family !== AF_INET6 || bytes.length < SIZE_WITHOUT_SCOPE) return null;
  return { words: [8, 12, 16, 20].map((offset) => view.getUint32(offset)) as unknown as Words };
}

/** Reads the port of a `struct sockaddr_in` or `sockaddr_in6`. */
export function sockaddrPort(bytes: Uint8Array): number {
  return (bytes[2] ?? 0) << 8 | (bytes[3] ?? 0);
}

/** Reads an endpoint; its address is empty where `sockaddrAddress` finds none. */
export function decodeSockaddr(bytes: Uint8Array): Endpoint {
  const address = sockaddrAddress(bytes);
  return { address: address === null ? "" : formatAddress(address), port: sockaddrPort(bytes) };
}

/** Returns whether a `struct sockaddr_in` or `sockaddr_in6` is an endpoint. For IPv4 it allocates nothing. */
export function isSockaddrOf(bytes: Uint8Array, { address, port }: Endpoint): boolean {
  if (sockaddrPort(bytes) !== port) return false;
  if (bytes.length < SOCKADDR_IN_SIZE || bytes[0] !== AF_INET || bytes[1] !== 0) {
    return decodeSockaddr(bytes).address === address;
  }
  return formatIPv4((bytes[4]! << 24 | bytes[5]! << 16 | bytes[6]! << 8 | bytes[7]!) >>> 0) === address;
}

/** A `struct sockaddr_in` for an IPv4 address, a `struct sockaddr_in6` for any other. */
export function encodeSockaddr(address: Address, port: number): Uint8Array {
  const four = isIPv4(address);
  const bytes = new Uint8Array(four ? SOCKADDR_IN_SIZE : SOCKADDR_IN6_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, four ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  if (four) view.setUint32(4, address.words[3]);
  else address.words.forEach((word, i) => view.setUint32(8 + 4 * i, word));
  return bytes;
}
