// Dumps that were asked for before they are needed: replayed where they are whole, asked for anew where they are not.

import { assert, assertEquals } from "@std/assert";
import { canTransfer } from "../../ffi/aio.ts";
import { DumpReplay, ParallelDump, WithoutTcp } from "../../src/select/parallel_dump.ts";
import type { DumpRequest, SockDiag } from "../../src/linux/netlink/sock_diag.ts";
import { openSockDiagNonblocking } from "../../src/linux/netlink/socket.ts";
import { datagram, done, FakeKernel, message, refusal, row } from "../linux/netlink/kernel.ts";

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

Deno.test("what was asked for behind a dump of TCP that has to be asked for anew is older than that, and asked for anew too", () => {
  const datagrams = [
    datagram(socket(1)),
    datagram(message(BY_FAMILY, SEQUENCE + 1, row({ sport: 2 }))),
    done(SEQUENCE + 1),
  ];
  const collections = [TCP, MPTCP].map((request, i) => ({ request, sequence: SEQUENCE + i, datagrams }));
  const inOrder = new DumpReplay(collections, kernel().diag);
  assertEquals(ports(inOrder, TCP).at(-1), ANEW);
  assertEquals(ports(inOrder, MPTCP), [ANEW]);
  const inOtherOrder = new DumpReplay(collections, kernel().diag);
  assertEquals(ports(inOtherOrder, { ...TCP, states: 0 }), [ANEW]);
  assertEquals(ports(inOtherOrder, MPTCP), [2]);
});

function replayed(datagrams: readonly Uint8Array[], request = TCP): number[] {
  return ports(new DumpReplay([{ request: TCP, sequence: SEQUENCE, datagrams }], kernel().diag), request);
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

Deno.test("what comes of another dump of the same socket is passed over", () => {
  const late = message(BY_FAMILY, SEQUENCE + 1, row({ sport: 7 }));
  assertEquals(replayed([datagram(late), datagram(socket(1)), done(SEQUENCE + 1), done(SEQUENCE)]), [1]);
});

Deno.test("a namespace without TCP is only asked for what is not TCP", () => {
  const dumper = new WithoutTcp(kernel().diag);
  assertEquals([ports(dumper, TCP), ports(dumper, { ...TCP, family: 0 }), ports(dumper, MPTCP)], [[], [], [ANEW]]);
});

const AF_UNSPEC = 0;
const LISTENERS: DumpRequest = { family: AF_UNSPEC, protocol: 6, states: 1 << 10, extensions: 0, bytecode: null };

const MPTCP_CONNECTIONS: DumpRequest = { ...LISTENERS, family: 2, protocol: 262, states: 1 << 1 };

/** What must not be needed. */
const never = {
  dump: (request: DumpRequest) => assert(false, `asked for anew: ${JSON.stringify(request)}`),
};

/** Listens on so many ports of this host while `use` runs. */
function listening(count: number, use: (ports: readonly number[]) => void): void {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  try {
    use(listeners.map(({ addr }) => (addr as Deno.NetAddr).port));
  } finally {
    for (const listener of listeners) listener.close();
  }
}

Deno.test("dumps that are asked for ahead are what one after the other gives, however long", () => {
  assert(canTransfer());
  // Fewer than a datagram, more than one, more than what is read ahead.
  for (const count of [3, 300, 1500]) {
    listening(count, (expected) => {
      const ahead = Array.from({ length: 30 }, () => {
        return new ParallelDump(openSockDiagNonblocking(), [LISTENERS, MPTCP_CONNECTIONS]);
      });
      try {
        for (const dumps of ahead) {
          const found = new Set(ports(dumps.collect(never), LISTENERS));
          assertEquals(expected.filter((port) => !found.has(port)), []);
        }
      } finally {
        for (const dumps of ahead) dumps.close();
      }
    });
  }
});

Deno.test("a dump behind one that is longer than what is read ahead is asked for anew", () => {
  assert(canTransfer());
  for (const [count, expected] of [[3, []], [1500, [ANEW]]] as [number, number[]][]) {
    listening(count, () => {
      const dumps = new ParallelDump(openSockDiagNonblocking(), [LISTENERS, MPTCP_CONNECTIONS]);
      try {
        const collected = dumps.collect(kernel().diag);
        ports(collected, LISTENERS);
        assertEquals(ports(collected, MPTCP_CONNECTIONS), expected);
      } finally {
        dumps.close();
      }
    });
  }
});

Deno.test("a dump that cannot be asked for is asked for anew", () => {
  assert(canTransfer());
  const closed = openSockDiagNonblocking();
  closed.close();
  const dumps = new ParallelDump(closed, [LISTENERS]);
  assertEquals(ports(dumps.collect(kernel().diag), LISTENERS), [ANEW]);
  dumps.close();
});
