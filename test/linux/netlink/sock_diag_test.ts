// A dump's good and bad days, and what is made of the answer to SOCK_DESTROY.

import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../../ffi/errno.ts";
import type { DumpRequest, SockDiag } from "../../../src/linux/netlink/sock_diag.ts";
import { datagram, done, FakeKernel, message, refusal, type Reply, type Request, row } from "./kernel.ts";

const [ENOENT, EPERM, EINVAL, EOPNOTSUPP, ENOBUFS, ENOMEM] = [2, 1, 22, 95, 105, 12];
const BY_FAMILY = 20;
const GETSOCK = 18;
const DUMP_INTR = 0x10;

const REQUEST: DumpRequest = { family: 2, protocol: 6, states: 0b10, extensions: 0, bytecode: null };

/** A row with this source port. */
function socket(sequence: number, sport: number, flags = 0x2): Uint8Array {
  return message(BY_FAMILY, sequence, row({ sport }), flags);
}

/** The source ports that a dump gives. */
function ports(diag: SockDiag, request: DumpRequest = REQUEST): number[] {
  const seen: number[] = [];
  diag.dump(request, (row) => seen.push(row.sport));
  return seen;
}

/** A kernel whose n-th answer is the n-th of `answers`, and from then on the last one. */
function answering(...answers: ((sequence: number) => Reply[])[]): FakeKernel {
  let asked = 0;
  return new FakeKernel(({ sequence }) => answers[Math.min(asked++, answers.length - 1)]!(sequence));
}

function assertFails(run: () => unknown, syscall: string, code: string): void {
  const error = assertThrows(run, SyscallError);
  assertEquals({ syscall: error.syscall, code: error.code }, { syscall, code });
}

Deno.test("a dump is what comes in all datagrams up to NLMSG_DONE", () => {
  const kernel = answering((n) => [
    datagram(socket(n, 1), socket(n, 2)),
    datagram(socket(n, 3)),
    datagram(socket(n, 4), done(n)),
    datagram(socket(n, 5)),
  ]);
  assertEquals(ports(kernel.diag), [1, 2, 3, 4]);
});

Deno.test("NLMSG_DONE may come in a datagram of its own, and a dump may be empty", () => {
  assertEquals(ports(answering((n) => [socket(n, 1), done(n)]).diag), [1]);
  assertEquals(ports(answering((n) => [done(n)]).diag), []);
});

Deno.test("a request says what it is for", () => {
  const kernel = answering((n) => [done(n)]);
  const bytecode = Uint8Array.of(1, 4, 4, 0);
  kernel.diag.dump({ family: 10, protocol: 262, states: 0x1e, extensions: 0x82, bytecode }, () => {});
  const { type, flags, family, protocol, states, extensions, bytecode: sent } = kernel.requests[0]!;
  // NLM_F_REQUEST | NLM_F_DUMP
  assertEquals({ type, flags, family, protocol }, { type: BY_FAMILY, flags: 0x301, family: 10, protocol: 262 });
  assertEquals({ states, extensions, sent }, { states: 0x1e, extensions: 0x82, sent: bytecode });
});

Deno.test("both families at once are asked for with TCPDIAG_GETSOCK, which answers with its own type", () => {
  const kernel = new FakeKernel(({ sequence: n }) => [datagram(message(GETSOCK, n, row({ sport: 1 })), done(n))]);
  const bytecode = Uint8Array.of(1, 4, 4, 0);
  assertEquals(ports(kernel.diag, { ...REQUEST, family: 0, extensions: 0x80, bytecode }), [1]);
  const { type, flags, states, extensions, bytecode: sent } = kernel.requests[0]!;
  assertEquals({ type, flags, states }, { type: GETSOCK, flags: 0x301, states: 0b10 });
  assertEquals({ extensions, sent }, { extensions: 0x80, sent: bytecode });
});

Deno.test("one socket serves many dumps, each with a sequence number of its own", () => {
  const kernel = answering((n) => [datagram(socket(n, 1), done(n))]);
  for (let i = 0; i < 3; i++) assertEquals(ports(kernel.diag), [1]);
  assertEquals(kernel.opened, 1);
  assertEquals(new Set(kernel.requests.map(({ sequence }) => sequence)).size, 3);
  kernel.diag.close();
  assertEquals(kernel.open, 0);
  assertEquals(ports(kernel.diag), [1]);
  assertEquals(kernel.opened, 2);
});

Deno.test("what belongs to another request is passed over", () => {
  const kernel = answering((n) => [
    datagram(socket(n - 1, 7), done(n - 1)),
    datagram(refusal(n + 1, EPERM), socket(n, 1), socket(n + 1, 8), done(n + 1), socket(n, 2), done(n)),
  ]);
  assertEquals(ports(kernel.diag), [1, 2]);
});

Deno.test("messages of other kinds are passed over", () => {
  const NLMSG_NOOP = 1;
  const kernel = answering((n) => [datagram(message(NLMSG_NOOP, n, new Uint8Array(0)), socket(n, 1), done(n))]);
  assertEquals(ports(kernel.diag), [1]);
});

Deno.test("an errno within NLMSG_DONE is the dump's failure", () => {
  const kernel = answering((n) => [datagram(socket(n, 1), done(n, ENOMEM))]);
  assertFails(() => ports(kernel.diag), "sock_diag dump", "ENOMEM");
  assertEquals(kernel.requests.length, 1);
});

Deno.test("a refusal is the dump's failure, and the next dump begins afresh", () => {
  const kernel = answering((n) => [refusal(n, EINVAL)], (n) => [datagram(socket(n, 1), done(n))]);
  assertFails(() => ports(kernel.diag), "sock_diag dump", "EINVAL");
  assertEquals(ports(kernel.diag), [1]);
  assertEquals([kernel.opened, kernel.open], [2, 1]);
});

Deno.test("a kernel without inet_diag refuses either request with ENOENT, whatever it says itself", () => {
  const kernel = new FakeKernel(({ type, sequence }) => [refusal(sequence, type === GETSOCK ? EOPNOTSUPP : ENOENT)]);
  assertFails(() => ports(kernel.diag), "sock_diag dump", "ENOENT");
  assertFails(() => ports(kernel.diag, { ...REQUEST, family: 0 }), "sock_diag dump", "ENOENT");
});

Deno.test("a dump that lost a datagram is begun anew, on a new socket", () => {
  const lost = (
    n: number,
  ): Reply[] => [socket(n, 1), new SyscallError("recv", ENOBUFS), datagram(socket(n, 3), done(n))];
  const kernel = answering(lost, (n) => [datagram(socket(n, 1), socket(n, 2), socket(n, 3), done(n))]);
  // What was seen before the loss is seen again.
  assertEquals(ports(kernel.diag), [1, 1, 2, 3]);
  assertEquals([kernel.opened, kernel.open], [2, 1]);
});

Deno.test("a dump that always loses something fails in the end", () => {
  const kernel = answering((n) => [socket(n, 1), new SyscallError("recv", ENOBUFS)]);
  assertFails(() => ports(kernel.diag), "recv", "ENOBUFS");
  assertEquals([kernel.requests.length, kernel.opened, kernel.open], [4, 4, 0]);
});

Deno.test("a dump whose end never comes fails in the end", () => {
  const kernel = answering((n) => [socket(n, 1)]);
  assertFails(() => ports(kernel.diag), "recv", "EAGAIN");
  assertEquals([kernel.requests.length, kernel.open], [4, 0]);
});

Deno.test("any other failure to receive is passed on at once", () => {
  const kernel = answering(() => [new SyscallError("recv", ENOMEM)]);
  assertFails(() => ports(kernel.diag), "recv", "ENOMEM");
  assertEquals([kernel.requests.length, kernel.open], [1, 0]);
});

Deno.test("a datagram that was cut short is asked for anew, with room for it", () => {
  // 2,000 rows are more than the 64 KiB that there is room for at first.
  const large = (n: number) => datagram(...Array.from({ length: 2000 }, (_, i) => socket(n, i)), done(n));
  const kernel = answering((n) => [large(n)]);
  const seen = ports(kernel.diag);
  assertEquals(seen, Array.from({ length: 2000 }, (_, i) => i));
  assertEquals(kernel.requests.length, 2);
  assertEquals(ports(kernel.diag).length, 2000);
  assertEquals(kernel.requests.length, 3);
});

Deno.test("a dump that the kernel calls inconsistent is begun anew", () => {
  const disturbed = (n: number) => [datagram(socket(n, 1, DUMP_INTR), done(n))];
  const kernel = answering(disturbed, (n) => [datagram(socket(n, 1), socket(n, 2), done(n))]);
  assertEquals(ports(kernel.diag), [1, 1, 2]);
  const never = answering(disturbed);
  assertFails(() => ports(never.diag), "sock_diag dump", "ENOBUFS");
  assertEquals([never.requests.length, never.open], [4, 0]);
});

Deno.test("a datagram that makes no sense is no end of a dump", () => {
  const whole = (n: number) => [datagram(socket(n, 1), done(n))];
  const withLength = (length: number) => (n: number) => {
    const bytes = datagram(socket(n, 9), done(n));
    new DataView(bytes.buffer).setUint32(0, length, true);
    return [bytes];
  };
  assertEquals(ports(answering(() => [new Uint8Array(0)], whole).diag), [1]);
  // 87 bytes hold a header and all of a struct inet_diag_msg but its last byte.
  for (const length of [0, 15, 87, 1000, 0xffffffff]) {
    assertEquals(ports(answering(withLength(length), whole).diag), [1]);
  }
});

Deno.test("a row whose attributes do not fit, and an end without an errno, have the dump begun anew", () => {
  const whole = (n: number) => [datagram(socket(n, 1), done(n))];
  const garbled = (offset: number, value: number) => (n: number) => {
    const bytes = datagram(socket(n, 9), done(n));
    bytes[offset] = value;
    return [bytes];
  };
  const ports = (kernel: FakeKernel) => {
    const seen: number[] = [];
    kernel.diag.dump(REQUEST, (row) => void seen.push(row.shutdown === 0 ? row.sport : 0));
    return seen;
  };
  const [attribute, end] = [16 + 72, 16 + 72 + 8];
  assertEquals(ports(answering(garbled(attribute, 4), whole)), [1]);
  assertEquals(ports(answering(garbled(attribute, 99), whole)), [1]);
  assertEquals(ports(answering(garbled(end, 16), whole)), [9, 1]);
  assertFails(() => ports(answering(garbled(attribute, 4))), "sock_diag dump", "ENOBUFS");
});

Deno.test("an error of the caller's ends the dump, and the next one sees nothing of it", () => {
  const kernel = answering((n) => [socket(n, 1), datagram(socket(n, 2), done(n))]);
  assertThrows(
    () =>
      kernel.diag.dump(REQUEST, () => {
        throw new RangeError("mine");
      }),
    RangeError,
    "mine",
  );
  assertEquals(ports(kernel.diag), [1, 2]);
});

const ID = {
  family: 2,
  sport: 51234,
  dport: 443,
  src: [0, 0, 0xffff, 0x0a000007],
  dst: [0, 0, 0xffff, 0x0a000005],
  interface: 0,
  cookie: 0x1_0000_c6f9n,
} as const;

function answeringOne(...replies: ((request: Request) => Reply)[]): FakeKernel {
  return new FakeKernel((request) => replies.map((reply) => reply(request)));
}

Deno.test("SOCK_DESTROY names the socket with its cookie, and asks for an answer", () => {
  const kernel = answeringOne(({ sequence }) => refusal(sequence, 0));
  kernel.diag.destroy(6, ID);
  const { type, flags, family, protocol, payload } = kernel.requests[0]!;
  // NLM_F_REQUEST | NLM_F_ACK
  assertEquals({ type, flags, family, protocol }, { type: 21, flags: 0x5, family: 2, protocol: 6 });
  const cookie = new DataView(payload.buffer).getBigUint64(48, true);
  assertEquals(cookie, ID.cookie);
});

Deno.test("SOCK_DESTROY fails as the kernel says", () => {
  for (const [errno, code] of [[ENOENT, "ENOENT"], [EPERM, "EPERM"], [EOPNOTSUPP, "EOPNOTSUPP"]] as const) {
    const kernel = answeringOne(({ sequence }) => refusal(sequence, errno));
    assertFails(() => kernel.diag.destroy(6, ID), "SOCK_DESTROY", code);
  }
});

Deno.test("only an acknowledgement of this very request is one", () => {
  const kernel = answeringOne(
    ({ sequence }) => refusal(sequence - 1, 0),
    () => new Uint8Array(0),
    ({ sequence }) => message(2, sequence, new Uint8Array(0)),
    ({ sequence }) => socket(sequence, 1),
    ({ sequence }) => refusal(sequence, ENOENT),
  );
  assertFails(() => kernel.diag.destroy(6, ID), "SOCK_DESTROY", "ENOENT");
});

Deno.test("SOCK_DESTROY without an answer fails", () => {
  assertFails(() => answeringOne().diag.destroy(6, ID), "recv", "EAGAIN");
});

Deno.test("the state of one socket is what the kernel answers with, and null when it finds none", () => {
  const found = answeringOne(
    ({ sequence }) => message(BY_FAMILY, sequence, row({ state: 8 })),
    ({ sequence }) => refusal(sequence, 0),
  );
  assertEquals(found.diag.stateOf(6, ID), 8);
  const { type, flags, payload } = found.requests[0]!;
  // NLM_F_REQUEST | NLM_F_ACK
  assertEquals({ type, flags }, { type: BY_FAMILY, flags: 0x5 });
  assertEquals(new DataView(payload.buffer).getBigUint64(48, true), ID.cookie);
  assertEquals(answeringOne(({ sequence }) => refusal(sequence, ENOENT)).diag.stateOf(6, ID), null);
  assertFails(
    () => answeringOne(({ sequence }) => refusal(sequence, ENOMEM)).diag.stateOf(6, ID),
    "sock_diag",
    "ENOMEM",
  );
});
