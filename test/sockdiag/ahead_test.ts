// Dumps that were asked for before they are needed: replayed where they are whole, asked for anew where they are not.

import { assert, assertEquals } from "@std/assert";
import { collect, Collected, WithoutTcp } from "../../src/sockdiag/ahead.ts";
import { type DumpRequest, SockDiag } from "../../src/sockdiag/sock_diag.ts";
import { openNetlink } from "../../src/sockdiag/transport.ts";
import { datagram, done, FakeKernel, message, refusal, row } from "./kernel.ts";

const BY_FAMILY = 20;
const [EINVAL, ENOBUFS] = [22, 105];
const DUMP_INTR = 0x10;
/** What a dump that is asked for ahead is numbered. */
const SEQUENCE = 1;

const TCP: DumpRequest = { family: 2, protocol: 6, states: 0b10, extensions: 0, bytecode: null };
const MPTCP: DumpRequest = { ...TCP, protocol: 262 };

const socket = (sport: number, flags = 0x2) => message(BY_FAMILY, SEQUENCE, row({ sport }), flags);

/** A kernel that answers every dump with one socket, whose port says that it was asked anew. */
const ANEW = 9;
function kernel(): FakeKernel {
  return new FakeKernel(({ sequence }) => [
    datagram(message(BY_FAMILY, sequence, row({ sport: ANEW })), done(sequence)),
  ]);
}

function ports(dumper: Pick<SockDiag, "dump">, request: DumpRequest): number[] {
  const seen: number[] = [];
  dumper.dump(request, ({ sport }) => seen.push(sport));
  return seen;
}

function replayed(datagrams: readonly Uint8Array[], request = TCP): number[] {
  return ports(new Collected([{ request: TCP, datagrams }], kernel().diag), request);
}

Deno.test("a dump that is whole is not asked for again", () => {
  assertEquals(replayed([datagram(socket(1), socket(2)), datagram(socket(3)), done(SEQUENCE)]), [1, 2, 3]);
  assertEquals(replayed([datagram(socket(1), done(SEQUENCE))]), [1]);
  assertEquals(replayed([done(SEQUENCE)]), []);
});

Deno.test("another dump than the one that was asked for is asked for", () => {
  const whole = [datagram(socket(1), done(SEQUENCE))];
  for (const other of [{ family: 10 }, { protocol: 262 }, { states: 2 ** 10 }, { extensions: 2 }]) {
    assertEquals(replayed(whole, { ...TCP, ...other }), [ANEW]);
  }
  assertEquals(replayed(whole, { ...TCP, bytecode: Uint8Array.of(1, 4, 4, 0) }), [ANEW]);
});

Deno.test("a dump that ends early, is disturbed, garbled or refused is asked for anew", () => {
  const spoilt = [
    [],
    [datagram(socket(1))],
    [datagram(socket(1, 0x2 | DUMP_INTR)), done(SEQUENCE)],
    [datagram(socket(1)).subarray(0, 40), done(SEQUENCE)],
    [refusal(SEQUENCE, ENOBUFS)],
    [refusal(SEQUENCE, EINVAL)],
  ];
  for (const datagrams of spoilt) assertEquals(replayed(datagrams).at(-1), ANEW);
});

Deno.test("a namespace without TCP is only asked for what is not TCP", () => {
  const dumper = new WithoutTcp(kernel().diag);
  assertEquals([ports(dumper, TCP), ports(dumper, { ...TCP, family: 0 }), ports(dumper, MPTCP)], [[], [], [ANEW]]);
});

const AF_UNSPEC = 0;
const LISTENERS: DumpRequest = { family: AF_UNSPEC, protocol: 6, states: 1 << 10, extensions: 0, bytecode: null };

Deno.test("dumps that are collected at once are what one after the other gives", () => {
  const listeners = Array.from({ length: 300 }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const diag = new SockDiag();
  try {
    const expected = listeners.map(({ addr }) => (addr as Deno.NetAddr).port);
    const dumps = collect(Array.from({ length: 30 }, () => ({ netlink: openNetlink(), request: LISTENERS })));
    assertEquals(dumps.length, 30);
    for (const datagrams of dumps) {
      assert(datagrams !== null && datagrams.length > 1);
      const never = { dump: () => assert(false, "asked for anew") };
      const found = new Set(ports(new Collected([{ request: LISTENERS, datagrams: datagrams! }], never), LISTENERS));
      assertEquals(expected.filter((port) => !found.has(port)), []);
    }
  } finally {
    diag.close();
    for (const listener of listeners) listener.close();
  }
});

Deno.test("a dump that cannot be asked for is none, and does not keep the others", () => {
  const closed = openNetlink();
  closed.close();
  const dumps = collect([closed, openNetlink()].map((netlink) => ({ netlink, request: LISTENERS })));
  assertEquals(dumps.map((datagrams) => datagrams === null), [true, false]);
});
