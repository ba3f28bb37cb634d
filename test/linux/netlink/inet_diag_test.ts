// sock_diag's requests and replies, byte by byte as <linux/inet_diag.h> lays them out. The reply is one of Linux 6.18.

import { formatCookie } from "../../../src/model/ids.ts";
import { assertEquals, assertThrows } from "@std/assert";
import {
  encodeRequest,
  encodeTcpRequest,
  extension,
  INET_DIAG_CGROUP_ID,
  INET_DIAG_INFO,
  INET_DIAG_MARK,
  INET_DIAG_SHUTDOWN,
  INET_DIAG_SOCKOPT,
  InetDiagMsg,
  MSG_SIZE,
} from "../../../src/linux/netlink/inet_diag.ts";
import { GarbledMessageError } from "../../../src/linux/netlink/message.ts";
import { bytes, viewAt } from "./bytes.ts";

const [AF_INET, AF_INET6] = [2, 10];
/** A reply attribute that tcphup does not read: the name of the congestion control. */
const INET_DIAG_CONG = 4;

Deno.test("a request for all sockets of a family", () => {
  assertEquals(
    encodeRequest({ family: AF_INET6, protocol: 6, extensions: 0x82, states: 0x1234 }),
    bytes(`
      0a          ; sdiag_family
      06          ; sdiag_protocol
      82          ; idiag_ext: INET_DIAG_INFO and INET_DIAG_SHUTDOWN
      00          ; pad
      34 12 00 00 ; idiag_states
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ; id, empty
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    `),
  );
});

Deno.test("IPPROTO_MPTCP leaves its lower eight bits: an attribute has the rest", () => {
  assertEquals(encodeRequest({ family: AF_INET, protocol: 262 })[1], 6);
});

Deno.test("a request that names no states asks for all", () => {
  assertEquals(encodeRequest({ family: AF_INET, protocol: 6 }).subarray(4, 8), bytes("ff ff ff ff"));
});

Deno.test("a request for one IPv4 socket", () => {
  const id = {
    family: AF_INET,
    sport: 51234,
    dport: 443,
    src: [0, 0, 0xffff, 0x0a000007],
    dst: [0, 0, 0xffff, 0xc0a80105],
    interface: 0x0102,
    cookie: 0x1122334455667788n,
  } as const;
  assertEquals(
    encodeRequest({ family: AF_INET, protocol: 6, id }),
    bytes(`
      02 06 00 00 ff ff ff ff ; family, protocol, ext, pad, states
      c8 22                   ; idiag_sport 51234, big-endian
      01 bb                   ; idiag_dport 443, big-endian
      0a 00 00 07 00 00 00 00 00 00 00 00 00 00 00 00 ; idiag_src 10.0.0.7
      c0 a8 01 05 00 00 00 00 00 00 00 00 00 00 00 00 ; idiag_dst 192.168.1.5
      02 01 00 00             ; idiag_if
      88 77 66 55 44 33 22 11 ; idiag_cookie, the lower word first
    `),
  );
});

Deno.test("a request for one AF_INET6 socket, whose v4-mapped address goes out as such", () => {
  const id = {
    family: AF_INET6,
    sport: 1,
    dport: 65535,
    src: [0x20010db8, 0, 0, 1],
    dst: [0, 0, 0xffff, 0x0a000005],
    interface: 0,
    cookie: 1n,
  } as const;
  assertEquals(
    encodeRequest({ family: AF_INET6, protocol: 6, id }).subarray(8),
    bytes(`
      00 01                   ; idiag_sport
      ff ff                   ; idiag_dport
      20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 ; idiag_src 2001:db8::1
      00 00 00 00 00 00 00 00 00 00 ff ff 0a 00 00 05 ; idiag_dst ::ffff:10.0.0.5
      00 00 00 00             ; idiag_if
      01 00 00 00 00 00 00 00 ; idiag_cookie
    `),
  );
});

Deno.test("the older request for TCP, of both families", () => {
  assertEquals(
    encodeTcpRequest({ extensions: 0x80, states: 0xb3e }),
    bytes(`
      00 00 00    ; idiag_family, idiag_src_len, idiag_dst_len: not looked at
      80          ; idiag_ext
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ; id, empty
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
      00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
      3e 0b 00 00 ; idiag_states
      00 00 00 00 ; idiag_dbs
    `),
  );
});

Deno.test("a reply attribute is asked for by its bit", () => {
  assertEquals([1, INET_DIAG_INFO, INET_DIAG_CONG, INET_DIAG_SHUTDOWN].map(extension), [0x01, 0x02, 0x08, 0x80]);
});

Deno.test("a cookie is written as ss writes it: its upper word first, and left out when it is 0", () => {
  assertEquals(formatCookie(0xc6f9, 0), "c6f9");
  assertEquals(formatCookie(0xc6f9, 1), "10000c6f9");
  assertEquals(formatCookie(0xffffffff, 0xffffffff), "ffffffffffffffff");
  assertEquals(formatCookie(0, 0), "0");
});

const REPLY = bytes(`
  02          ; idiag_family
  01          ; idiag_state: ESTAB
  02          ; idiag_timer: keepalive
  03          ; idiag_retrans
  c8 22       ; idiag_sport 51234
  01 bb       ; idiag_dport 443
  0a 00 00 07 00 00 00 00 00 00 00 00 00 00 00 00 ; idiag_src 10.0.0.7
  c0 a8 01 fe 00 00 00 00 00 00 00 00 00 00 00 00 ; idiag_dst 192.168.1.254
  04 00 00 00 ; idiag_if
  f9 c6 00 00 ; idiag_cookie, lower word
  01 00 00 00 ; idiag_cookie, upper word
  80 b5 01 00 ; idiag_expires 112000
  05 00 00 00 ; idiag_rqueue
  06 00 00 80 ; idiag_wqueue, above 2³¹
  fe ff ff ff ; idiag_uid 4294967294
  d1 b1 02 f0 ; idiag_inode 4026708433
`);

const ATTRIBUTES = bytes(`
  05 00 08 00  02 00 00 00             ; INET_DIAG_SHUTDOWN: sending
  0a 00 04 00  63 75 62 69 63 00 00 00 ; INET_DIAG_CONG "cubic", padded
  04 00 0e 00                          ; INET_DIAG_PAD, without a value
  0c 00 15 00  67 45 23 01 00 00 00 00 ; INET_DIAG_CGROUP_ID
  08 00 0f 00  2a 00 00 00             ; INET_DIAG_MARK
`);

/** A row with these attributes, somewhere in a datagram, and with another message behind it. */
function rowOf(reply: Uint8Array, attributes: Uint8Array = new Uint8Array(), start = 16): InetDiagMsg {
  const whole = new Uint8Array([...reply, ...attributes, ...bytes("05 00 08 00 03 00 00 00")]);
  return new InetDiagMsg().at(viewAt(whole, start), start, start + reply.length + attributes.length);
}

Deno.test("a reply, field by field", () => {
  assertEquals(REPLY.length, MSG_SIZE);
  for (const start of [0, 16, 1000]) {
    const row = rowOf(REPLY, ATTRIBUTES, start);
    const { family, state, timer, retransmits, sport, dport, cookie, expires, rqueue, wqueue, uid, inode } = row;
    assertEquals({ family, state, timer, retransmits }, { family: 2, state: 1, timer: 2, retransmits: 3 });
    assertEquals({ sport, dport, interface: row.interface }, { sport: 51234, dport: 443, interface: 4 });
    assertEquals({ cookie, expires, rqueue }, { cookie: "10000c6f9", expires: 112_000, rqueue: 5 });
    assertEquals({ wqueue, uid, inode }, { wqueue: 2147483654, uid: 4294967294, inode: 4026708433 });
  }
});

Deno.test("an IPv4 address reads as its canonical words, whatever lies behind its four bytes", () => {
  const dirty = REPLY.slice().fill(0xcc, 12, 24).fill(0xcc, 28, 40);
  const row = rowOf(dirty);
  assertEquals([0, 1, 2, 3].map((i) => row.srcWord(i)), [0, 0, 0xffff, 0x0a000007]);
  assertEquals([0, 1, 2, 3].map((i) => row.dstWord(i)), [0, 0, 0xffff, 0xc0a801fe]);
});

Deno.test("an IPv6 address reads as its four words, unsigned", () => {
  const six = REPLY.slice();
  six[0] = AF_INET6;
  six.set(bytes("fe 80 00 00 00 00 00 00 80 00 00 01 ff ff ff ff"), 8);
  six.set(bytes("00 00 00 00 00 00 00 00 00 00 ff ff 0a 00 00 05"), 24);
  const row = rowOf(six);
  assertEquals([0, 1, 2, 3].map((i) => row.srcWord(i)), [0xfe800000, 0, 0x80000001, 0xffffffff]);
  assertEquals([0, 1, 2, 3].map((i) => row.dstWord(i)), [0, 0, 0xffff, 0x0a000005]);
});

Deno.test("attributes are found by their type, in any order", () => {
  const row = rowOf(REPLY, ATTRIBUTES);
  assertEquals(row.shutdown, 2);
  assertEquals(row.attribute(INET_DIAG_MARK)?.getUint32(0, true), 42);
  assertEquals(row.attribute(INET_DIAG_CGROUP_ID)?.getBigUint64(0, true), 0x01234567n);
  const cong = row.attribute(INET_DIAG_CONG)!;
  const text = new TextDecoder().decode(new Uint8Array(cong.buffer, cong.byteOffset, cong.byteLength));
  assertEquals(text, "cubic\0");
});

Deno.test("an attribute that was not sent is none, also when the next message has it", () => {
  const row = rowOf(REPLY);
  assertEquals([row.attribute(INET_DIAG_SHUTDOWN), row.shutdown], [null, 0]);
  assertEquals(rowOf(REPLY, ATTRIBUTES).attribute(INET_DIAG_SOCKOPT), null);
});

Deno.test("attributes that make no sense are garbled, and nothing beyond the row is read", () => {
  const broken = {
    "shorter than its header": "03 00 01 00  05 00 08 00 03 00 00 00",
    "of no length, which would go on for ever": "00 00 00 00  05 00 08 00 03 00 00 00",
    "longer than the row": "ff ff 08 00  03 00 00 00",
    "without a value": "04 00 08 00",
  };
  for (const [what, attributes] of Object.entries(broken)) {
    const row = rowOf(REPLY, bytes(attributes));
    assertThrows(() => row.shutdown, GarbledMessageError, undefined, what);
    assertThrows(() => row.attribute(INET_DIAG_SHUTDOWN, 1), GarbledMessageError, undefined, what);
  }
  assertEquals(rowOf(REPLY, bytes("05 00 08")).shutdown, 0);
});

Deno.test("a row that is cut short, or of another family, is garbled", () => {
  const row = new InetDiagMsg();
  assertThrows(
    () => row.at(viewAt(REPLY, 0), 0, MSG_SIZE - 1),
    GarbledMessageError,
    "shorter than struct inet_diag_msg",
  );
  const unix = REPLY.slice();
  unix[0] = 1;
  assertThrows(() => row.at(viewAt(unix, 0), 0, MSG_SIZE), GarbledMessageError, "family 1");
});

Deno.test("one object goes from row to row", () => {
  const other = REPLY.slice();
  other[1] = 8;
  const row = rowOf(REPLY, ATTRIBUTES);
  assertEquals([row.state, row.shutdown], [1, 2]);
  row.at(viewAt(other, 4), 4, 4 + other.length);
  assertEquals([row.state, row.shutdown], [8, 0]);
});
