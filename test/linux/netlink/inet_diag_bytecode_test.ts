// The operations of inet_diag's bytecode, byte by byte as <linux/inet_diag.h> lays them out.

import { assertEquals } from "@std/assert";
import { parsePrefix } from "../../../src/model/address.ts";
import {
  encodeAutoCondition,
  encodeCgroupCondition,
  encodeDeviceCondition,
  encodeHostCondition,
  encodeJump,
  encodeMarkCondition,
  encodePortCondition,
  INET_DIAG_BC_D_COND,
  INET_DIAG_BC_S_COND,
  INET_DIAG_BC_S_GE,
  setNo,
} from "../../../src/linux/netlink/inet_diag_bytecode.ts";

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

const prefix = (text: string) => parsePrefix(text)!;

Deno.test("each operation's yes is its own length", () => {
  assertEquals(hex(encodeJump()), "01 04 00 00");
  assertEquals(hex(encodeAutoCondition()), "06 04 00 00");
  // The port of a comparison: in the `no` of a second operation.
  assertEquals(hex(encodePortCondition(INET_DIAG_BC_S_GE, 8080)), "02 08 00 00 00 00 90 1f");
  assertEquals(hex(encodeDeviceCondition(0x0102)), "09 08 00 00 02 01 00 00");
  assertEquals(hex(encodeMarkCondition(0x10, 0xff)), "0a 0c 00 00 10 00 00 00 ff 00 00 00");
  assertEquals(hex(encodeCgroupCondition(0x1_0000_0002n)), "0d 0c 00 00 02 00 00 00 01 00 00 00");
});

Deno.test("a host condition is of its prefix's family, its port -1 and its address in network order", () => {
  assertEquals(
    hex(encodeHostCondition(INET_DIAG_BC_D_COND, prefix("10.1.0.0/16"))),
    "08 10 00 00 02 10 00 00 ff ff ff ff 0a 01 00 00",
  );
  assertEquals(
    hex(encodeHostCondition(INET_DIAG_BC_S_COND, prefix("2001:db8::1"))),
    "07 1c 00 00 0a 80 00 00 ff ff ff ff 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01",
  );
});

Deno.test("a v4-mapped prefix is IPv4, but for what is shorter than the mapping's own 96 bits", () => {
  const encode = (text: string) => encodeHostCondition(INET_DIAG_BC_S_COND, prefix(text));
  const mapped = encode("::ffff:10.0.0.0/104");
  const shorter = encode("::ffff:0:0/80");
  assertEquals(hex(mapped.subarray(4)), "02 08 00 00 ff ff ff ff 0a 00 00 00");
  assertEquals(hex(shorter.subarray(4, 6)), "0a 50");
  assertEquals(shorter.length, 28);
});

Deno.test("setNo writes 16 bits, also in the middle of a buffer", () => {
  const bytes = new Uint8Array(12);
  setNo(bytes.subarray(4, 8), 0x1234);
  assertEquals(hex(bytes), "00 00 00 00 00 00 34 12 00 00 00 00");
});
