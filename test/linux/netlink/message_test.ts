// netlink messages and attributes, byte by byte as <linux/netlink.h> lays them out.

import { assertEquals, assertThrows } from "@std/assert";
import {
  align4,
  encodeAttribute,
  encodeMessage,
  findAttribute,
  GarbledMessageError,
  messageErrno,
} from "../../../src/linux/netlink/message.ts";
import { bytes, viewAt } from "./bytes.ts";

Deno.test("a message is its header, its payload and its attributes", () => {
  const attribute = encodeAttribute(3, Uint8Array.of(0x06, 0x01, 0x00, 0x00));
  const message = encodeMessage(20, 0x301, 0x12345678, Uint8Array.of(1, 2, 3, 4), [
    attribute,
    encodeAttribute(1, new Uint8Array()),
  ]);
  assertEquals(
    message,
    bytes(`
      20 00 00 00 ; nlmsg_len, header included
      14 00       ; nlmsg_type
      01 03       ; nlmsg_flags
      78 56 34 12 ; nlmsg_seq
      00 00 00 00 ; nlmsg_pid: the kernel knows whose socket it is
      01 02 03 04 ; the payload
      08 00       ; nla_len, header included
      03 00       ; nla_type
      06 01 00 00 ; the value
      04 00       ; nla_len of an attribute without a value
      01 00       ; nla_type
    `),
  );
});

Deno.test("an attribute is padded, and its length does not count the padding", () => {
  assertEquals(
    encodeAttribute(0x8001, Uint8Array.of(0xaa, 0xbb, 0xcc, 0xdd, 0xee)),
    bytes("09 00 01 80 aa bb cc dd ee 00 00 00"),
  );
});

Deno.test("an attribute is as long as 16 bits can say, and no longer", () => {
  const longest = encodeAttribute(1, new Uint8Array(0xffff - 4));
  assertEquals([longest.length, longest[0], longest[1]], [0x10000, 0xff, 0xff]);
  assertThrows(() => encodeAttribute(1, new Uint8Array(0xffff - 3)), RangeError, "65536 bytes: at most 65535");
});

Deno.test("lengths are rounded up to a multiple of four", () => {
  assertEquals([0, 1, 3, 4, 5, 65535].map(align4), [0, 4, 4, 4, 8, 65536]);
});

Deno.test("an errno is what follows the header, with its sign turned", () => {
  const ENOENT = bytes(`
    24 00 00 00  02 00  00 00  01 00 00 00  00 00 00 00 ; struct nlmsghdr, NLMSG_ERROR
    fe ff ff ff                                         ; -ENOENT
    14 00 00 00  15 00  05 00  01 00 00 00  00 00 00 00 ; the request's struct nlmsghdr
  `);
  for (const offset of [0, 4, 100]) assertEquals(messageErrno(viewAt(ENOENT, offset), offset, offset + 36), 2);
});

Deno.test("a message with no room for an errno, or with what is none, holds none", () => {
  const done = bytes(`
    10 00 00 00  03 00  02 00  01 00 00 00  00 00 00 00 ; struct nlmsghdr
    fe ff ff ff                                         ; another message's
  `);
  for (const end of [16, 19]) assertEquals(messageErrno(viewAt(done, 0), 0, end), null);
  for (const value of [1, -4096, -(2 ** 31)]) {
    const view = viewAt(done, 0);
    view.setInt32(16, value, true);
    assertEquals(messageErrno(view, 0, 20), null, `${value}`);
  }
});

Deno.test("an attribute is found by its type, if its value is as long as it has to be", () => {
  const attributes = viewAt(bytes("04 00 0e 00  08 00 0f 00 2a 00 00 00  05 00 08 00 02 00 00 00"), 8);
  const end = attributes.byteLength;
  assertEquals([0xf, 8, 1].map((type) => findAttribute(attributes, 8, end, type, 1)), [16, 24, -1]);
  assertThrows(() => findAttribute(attributes, 8, end, 0xf, 5), GarbledMessageError, "shorter than its value");
  assertThrows(() => findAttribute(attributes, 8, end, 0xe, 1), GarbledMessageError, "shorter than its value");
  assertThrows(() => findAttribute(attributes, 8, end - 4, 8, 1), GarbledMessageError, "does not fit");
});
