// The decoders on recorded messages that were damaged: each gives a value or calls the message garbled, reads nothing outside
// of it, and comes to an end.
//
// What is here throws where one does not.

import { assertEquals } from "@std/assert";
import { isSyscallError } from "../../../ffi/errno.ts";
import type { Connection } from "../../../src/model/connection.ts";
import {
  INET_DIAG_CGROUP_ID,
  INET_DIAG_INFO,
  INET_DIAG_MARK,
  INET_DIAG_SOCKOPT,
  InetDiagMsg,
} from "../../../src/linux/netlink/inet_diag.ts";
import { GarbledMessageError, NLMSGHDR_SIZE } from "../../../src/linux/netlink/message.ts";
import { decodeMptcpInfo, decodeTcpInfo } from "../../../src/linux/netlink/tcp_info.ts";
import { decodeAddress, decodeLocalRoute } from "../../../src/linux/netlink/rtnetlink.ts";
import { decodeSockaddr } from "../../../src/linux/netlink/sockaddr.ts";
import { connectionOf } from "../../../src/select/sockets.ts";
import { readSockets } from "../../../src/linux/netlink/sock_diag.ts";
import type { Random } from "../../select/random.ts";
import { DONE, IPV4_ADDRESS, IPV4_ROUTE, IPV6_ADDRESS, IPV6_ROUTE, MPTCP, TCP } from "./recorded.ts";

/** What lengths, types and addresses are apt to go wrong at. */
const TELLING = [0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 72, 87, 88, 127, 128, 129, 254, 255];

/** Changes some bytes, and may cut off the end. */
function damage(random: Random, message: Uint8Array): Uint8Array {
  const bytes = message.slice(0, random.chance(0.3) ? random.below(message.length + 1) : message.length);
  for (let i = random.below(4); i >= 0 && bytes.length > 0; i--) {
    bytes[random.below(bytes.length)] = random.chance(0.5) ? random.one(TELLING) : random.below(256);
  }
  return bytes;
}

/** A message of another sequence number, full of `fill`, which every reader passes over. */
function stranger(fill: number): Uint8Array {
  const bytes = new Uint8Array(512).fill(fill);
  new Uint32Array(bytes.buffer, 0, 4).set([bytes.length, 1, 0, 0]);
  return bytes;
}

/** The message, from the middle of a buffer on, and behind it a stranger. */
function surrounded(message: Uint8Array, fill: number): DataView {
  const bytes = new Uint8Array([...new Array(64).fill(fill), ...message, ...stranger(fill)]);
  return new DataView(bytes.buffer, 64);
}

/** What `decode` makes of it. */
function outcome(decode: () => unknown): unknown {
  try {
    return decode();
  } catch (error) {
    if (error instanceof GarbledMessageError) return "garbled";
    throw error;
  }
}

type Decode = (view: DataView, length: number) => unknown;

/** Decodes damaged messages, each twice, with other bytes around it. */
function fuzz(random: Random, rounds: number, messages: readonly Uint8Array[], decode: Decode): void {
  for (let round = 0; round < rounds; round++) {
    const message = damage(random, random.one(messages));
    const [one, other] = [0x00, 0xa5].map((fill) => outcome(() => decode(surrounded(message, fill), message.length)));
    assertEquals(one, other, `round ${round}`);
  }
}

type Row = Connection & { attributes: unknown[] };

function readRow(row: InetDiagMsg): Row {
  const info = row.attribute(INET_DIAG_INFO);
  return {
    ...connectionOf(row, "tcp", 0),
    attributes: [
      row.attribute(INET_DIAG_MARK, 4)?.getUint32(0, true),
      row.attribute(INET_DIAG_CGROUP_ID, 8)?.getBigUint64(0, true),
      row.attribute(INET_DIAG_SOCKOPT, 1)?.getUint8(0),
      info && decodeTcpInfo(info),
      info && decodeMptcpInfo(info),
    ],
  };
}

/** sock_diag: damaged datagrams are garbled, or rows that are within them. */
export function fuzzSockDiag(random: Random, rounds: number): void {
  fuzz(random, rounds, [TCP, MPTCP, DONE], (view, length) => {
    // A length that reaches into the stranger takes from it.
    if (length < NLMSGHDR_SIZE || view.getUint32(0, true) > length) view = new DataView(view.buffer, 64, length);
    const rows: Row[] = [];
    try {
      return [readSockets(view, 1, new InetDiagMsg(), (row) => rows.push(readRow(row))), rows];
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      return error.code;
    }
  });
}

/** rtnetlink: damaged addresses and routes are garbled, or prefixes within 128 bits. */
export function fuzzRtnetlink(random: Random, rounds: number): void {
  for (
    const [decode, messages] of [
      [decodeAddress, [IPV4_ADDRESS, IPV6_ADDRESS]],
      [decodeLocalRoute, [IPV4_ROUTE, IPV6_ROUTE]],
    ] as const
  ) {
    fuzz(random, rounds, messages, (view, length) => {
      const prefix = decode(view, Math.min(NLMSGHDR_SIZE, length), length);
      if (prefix !== null) assertEquals(prefix.length >= 0 && prefix.length <= 128, true);
      return prefix;
    });
  }
}

/** What socket options and calls return, damaged, is read as far as it goes. */
export function fuzzStructs(random: Random, rounds: number): void {
  const sockaddrs = [[2, 0, 1, 187, 10, 0, 0, 1, ...Array(8).fill(0)], [10, 0, 1, 187, ...Array(24).fill(7)]];
  fuzz(random, rounds, sockaddrs.map((octets) => Uint8Array.from(octets)), ({ buffer, byteOffset }, length) => {
    return decodeSockaddr(new Uint8Array(buffer, byteOffset, length));
  });
  fuzz(random, rounds, [TCP.subarray(228)], ({ buffer, byteOffset }, length) => {
    const view = new DataView(buffer, byteOffset, length);
    return [decodeTcpInfo(view), decodeMptcpInfo(view)];
  });
}
