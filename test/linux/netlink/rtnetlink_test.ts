// Addresses and routes as the kernel sends them, byte by byte.

import { assertEquals, assertThrows } from "@std/assert";
import { formatPrefix } from "../../../src/model/address.ts";
import { GarbledMessageError } from "../../../src/linux/netlink/message.ts";
import {
  decodeAddress,
  decodeLocalRoute,
  encodeAddressRequest,
  encodeRouteRequest,
} from "../../../src/linux/netlink/rtnetlink.ts";
import { bytes, viewAt } from "./bytes.ts";

type Decode = typeof decodeAddress;

/** What a payload decodes to, wherever in a buffer it lies. */
function decoded(decode: Decode, payload: Uint8Array): string | null {
  const offset = 16;
  const view = viewAt(new Uint8Array([...payload, 0xff, 0xff]), offset);
  const prefix = decode(view, offset, offset + payload.length);
  return prefix && formatPrefix(prefix);
}

Deno.test("a request for addresses names the family", () => {
  assertEquals(encodeAddressRequest(10), bytes("0a 00 00 00 00000000"));
});

Deno.test("a request for routes names the family and the table local", () => {
  assertEquals(encodeRouteRequest(2), bytes("02 00 00 00 ff 00 00 00 00000000"));
});

Deno.test("an IPv4 address: IFA_LOCAL, not the other end's IFA_ADDRESS", () => {
  const ends = ["0800 0100 0a000002", "0800 0200 0a000001"];
  assertEquals(decoded(decodeAddress, bytes("02 18 80 00 02000000", ...ends)), "10.0.0.1");
  assertEquals(decoded(decodeAddress, bytes("02 18 80 00 02000000", ...ends.reverse())), "10.0.0.1");
});

Deno.test("an IPv6 address has IFA_ADDRESS alone, behind whatever", () => {
  const flags = "0800 0800 80000000";
  const address = "1400 0100 20010db8 00000000 00000000 00000001";
  assertEquals(decoded(decodeAddress, bytes("0a 40 80 00 02000000", flags, address)), "2001:db8::1");
});

Deno.test("an address without one is none, nor is one of another family", () => {
  assertEquals(decoded(decodeAddress, bytes("02 18 80 00 02000000")), null);
  assertEquals(decoded(decodeAddress, bytes("07 18 80 00 02000000", "0800 0200 0a000001")), null);
});

Deno.test("what is cut short is garbled", () => {
  const payloads: [Decode, ...string[]][] = [
    [decodeAddress, "02 18 80 00 020000"],
    [decodeAddress, "02 18 80 00 02000000", "0800 0200 0a00"],
    [decodeAddress, "02 18 80 00 02000000", "0600 0200 0a00 0000"],
    [decodeAddress, "02 18 80 00 02000000", "0000 0200"],
    [decodeAddress, "0a 18 80 00 02000000", "0800 0200 0a000001"],
    [decodeLocalRoute, "02 10 00 00 ff 03 fe 02 000000"],
    [decodeLocalRoute, "02 10 00 00 ff 03 fe 02 00000000", "0600 0100 0a4d 0000"],
  ];
  for (const [decode, ...hex] of payloads) {
    assertThrows(() => decoded(decode, bytes(...hex)), GarbledMessageError, undefined, hex.join(" "));
  }
});

Deno.test("a prefix that is longer than its address is garbled", () => {
  const six = "1400 0100 fd000000 00000000 00000000 00000000";
  const longer = [
    bytes("02 21 00 00 ff 03 fe 02 00000000", "0800 0100 0a4d0000"),
    bytes("0a 81 00 00 ff 02 00 04 00000000", six),
  ];
  for (const payload of longer) assertThrows(() => decoded(decodeLocalRoute, payload), GarbledMessageError, "prefix");
});

Deno.test("routes of the table local that lead here", () => {
  const destination = "0800 0100 0a4d0000";
  // {family, dst_len, src_len, tos, table, protocol, scope, type, flags}
  assertEquals(decoded(decodeLocalRoute, bytes("02 10 00 00 ff 03 fe 02 00000000", destination)), "10.77.0.0/16");
  assertEquals(decoded(decodeLocalRoute, bytes("02 20 00 00 ff 03 fe 02 00000000", destination)), "10.77.0.0");
  const anycast = bytes("0a 80 00 00 ff 02 00 04 00000000", "1400 0100 fd000000 00000000 00000000 00000000");
  assertEquals(decoded(decodeLocalRoute, anycast), "fd00::");
});

Deno.test("broadcasts, and routes of other tables, do not lead here", () => {
  const destination = "0800 0100 0a4d00ff";
  assertEquals(decoded(decodeLocalRoute, bytes("02 20 00 00 ff 02 fd 03 00000000", destination)), null);
  assertEquals(decoded(decodeLocalRoute, bytes("02 10 00 00 fe 03 fe 02 00000000", destination)), null);
  assertEquals(decoded(decodeLocalRoute, bytes("02 10 00 00 ff 03 fe 01 00000000", destination)), null);
});

Deno.test("a route without a destination is the default of its family", () => {
  assertEquals(decoded(decodeLocalRoute, bytes("02 00 00 00 ff 03 fe 02 00000000")), "0.0.0.0/0");
  assertEquals(decoded(decodeLocalRoute, bytes("0a 00 00 00 ff 03 fe 02 00000000")), "::/0");
});
