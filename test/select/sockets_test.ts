// What a list makes of the kernel's: MPTCP connections and their subflows, refused filters, missing protocols.

import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import type { Connection } from "../../src/model/connection.ts";
import { STATES } from "../../src/model/tcp_states.ts";
import type { DumpPlan } from "../../src/select/dump_plan.ts";
import { listConnections } from "../../src/select/sockets.ts";
import {
  datagram,
  done,
  FakeKernel,
  mapped,
  message,
  refusal,
  type Request,
  type Row,
  row,
} from "../linux/netlink/kernel.ts";

const [AF_INET, AF_INET6] = [2, 10];
const [TCP, MPTCP] = [6, 262];
const [ENOENT, EPERM, EINVAL, ENOMEM] = [2, 1, 22, 12];
const CONNECTED = 0b1011_0011_1110;

function plan(given: Partial<DumpPlan> = {}): DumpPlan {
  return {
    families: [AF_INET, AF_INET6],
    states: CONNECTED,
    bytecode: null,
    fallback: null,
    matches: () => true,
    matchesMptcp: given.matches ?? (() => true),
    ...given,
  };
}

/** A kernel with these sockets, which heeds the families and states of a request and no more. */
function kernelWith(sockets: { tcp?: readonly Row[]; mptcp?: readonly Row[] }): FakeKernel {
  return new FakeKernel((request) => {
    const rows = (request.protocol === MPTCP ? sockets.mptcp : sockets.tcp) ?? [];
    return answer(request, rows.filter((row) => isAsked(row, request)));
  });
}

function isAsked({ family = AF_INET, state = 1 }: Row, request: Request): boolean {
  return (request.family === 0 || request.family === family) && (request.states >>> state & 1) === 1;
}

function answer({ type, sequence }: Request, rows: readonly Row[]): Uint8Array[] {
  return [datagram(...rows.map((given) => message(type, sequence, row(given))), done(sequence))];
}

function list(kernel: FakeKernel, ...plans: DumpPlan[]): Connection[] {
  return listConnections(kernel.diag, plans.length > 0 ? plans : [plan()], 0, 4026531840);
}

/** A connection in few words: `tcp 10.0.0.5:443 ESTAB`. */
function brief({ protocol, dst, state, subflowOf }: Connection): string {
  return `${protocol} ${dst.address}:${dst.port} ${state}${subflowOf ? ` of ${subflowOf}` : ""}`;
}

function briefs(kernel: FakeKernel, ...plans: DumpPlan[]): string[] {
  return list(kernel, ...plans).map(brief);
}

Deno.test("TCP connections of both families are listed in one dump", () => {
  const kernel = kernelWith({
    tcp: [{ cookie: [1, 0] }, { cookie: [2, 0], family: AF_INET6, src: mapped(10, 0, 0, 7), dst: mapped(10, 0, 0, 6) }],
  });
  assertEquals(briefs(kernel), ["tcp 10.0.0.5:443 ESTAB", "tcp 10.0.0.6:443 ESTAB"]);
  const asked = kernel.requests.map(({ protocol, family }) => ({ protocol, family }));
  const mptcp = [AF_INET, AF_INET6].map((family) => ({ protocol: MPTCP, family }));
  assertEquals(asked, [...mptcp, { protocol: TCP, family: 0 }, ...mptcp]);
});

Deno.test("where one family will do, the other is not asked for; where none will, nothing is", () => {
  const kernel = kernelWith({ tcp: [{}] });
  assertEquals(briefs(kernel, plan({ families: [AF_INET6] })), []);
  assertEquals(kernel.requests.map(({ family }) => family), [AF_INET6, AF_INET6]);
  const idle = kernelWith({ tcp: [{}] });
  assertEquals(briefs(idle, plan({ families: [] })), []);
  assertEquals(idle.requests, []);
});

Deno.test("states, the filter and INET_DIAG_SHUTDOWN are asked for", () => {
  const kernel = kernelWith({ tcp: [{ shutdown: 2, state: STATES["CLOSE-WAIT"] }] });
  const bytecode = Uint8Array.of(1, 4, 8, 0);
  const connection = listConnections(kernel.diag, [plan({ bytecode })], 0b10, 7)[0]!;
  assertEquals([connection.shutdown, connection.state, connection.netns], [2, "CLOSE-WAIT", 7]);
  const { states, extensions, bytecode: sent } = kernel.requests.find(({ protocol }) => protocol === TCP)!;
  assertEquals({ states, extensions, sent }, { states: CONNECTED, extensions: 0b1000_0010, sent: bytecode });
});

Deno.test("rows that the query does not match are left out, whatever the kernel let through", () => {
  const kernel = kernelWith({
    tcp: [{ cookie: [1, 0], dport: 80 }, { cookie: [2, 0] }],
    mptcp: [{ inode: 5, dport: 80 }],
  });
  assertEquals(briefs(kernel, plan({ matches: ({ dport }) => dport === 443 })), ["tcp 10.0.0.5:443 ESTAB"]);
});

Deno.test("a socket that two queries select, or that is given twice, is listed once", () => {
  const kernel = kernelWith({ tcp: [{ cookie: [1, 0] }, { cookie: [1, 0] }], mptcp: [{ inode: 5, dport: 80 }] });
  assertEquals(briefs(kernel, plan(), plan()), ["mptcp 10.0.0.5:80 ESTAB", "tcp 10.0.0.5:443 ESTAB"]);
});

Deno.test("the subflows of an MPTCP connection are left out in its favour", () => {
  const kernel = kernelWith({
    mptcp: [{ inode: 5, cookie: [9, 0] }],
    tcp: [
      { inode: 5, cookie: [1, 0] },
      { inode: 5, cookie: [2, 0], dst: [10, 0, 1, 5] },
      { inode: 6, cookie: [3, 0], dst: [10, 0, 0, 6] },
    ],
  });
  assertEquals(briefs(kernel), ["mptcp 10.0.0.5:443 ESTAB", "tcp 10.0.0.6:443 ESTAB"]);
});

/** struct tcp_info with tcpi_last_data_recv and tcpi_last_ack_recv. */
function tcpInfo(dataMs: number, ackMs: number): Uint8Array {
  const words = new Uint32Array(26);
  words.set([dataMs, ackMs], 13);
  return new Uint8Array(words.buffer);
}

/** struct mptcp_info with mptcpi_last_data_recv and mptcpi_last_ack_recv. */
function mptcpInfo(dataMs: number, ackMs: number): Uint8Array {
  const words = new Uint32Array(24);
  words.set([dataMs, ackMs], 22);
  return new Uint8Array(words.buffer);
}

Deno.test("a peer was heard when data or an acknowledgement came last, over any subflow", () => {
  const silence = (tcp: Row[], mptcp: Row[] = []) => {
    const kernel = kernelWith({ tcp, mptcp });
    return listConnections(kernel.diag, [plan()], 0b10, 7).map(({ silentMs }) => silentMs);
  };
  assertEquals(silence([{ info: tcpInfo(5, 9) }]), [5]);
  assertEquals(silence([{ info: tcpInfo(9, 5) }]), [5]);
  assertEquals(silence([{ state: STATES["SYN-SENT"], info: tcpInfo(9, 5) }]), [null]);
  assertEquals(silence([{}]), [null]);
  const subflows: Row[] = [{ inode: 5, cookie: [1, 0], info: tcpInfo(7, 8) }, {
    inode: 5,
    cookie: [2, 0],
    info: tcpInfo(6, 9),
  }];
  assertEquals(silence(subflows, [{ inode: 5, info: mptcpInfo(9, 9) }]), [6]);
  assertEquals(silence(subflows, [{ inode: 5, info: mptcpInfo(3, 9) }]), [3]);
  // A kernel that says nothing of MPTCP, and one whose subflows have gone.
  assertEquals(silence(subflows, [{ inode: 5 }]), [6]);
  assertEquals(silence([], [{ inode: 5, info: mptcpInfo(4, 9) }]), [4]);
  assertEquals(silence([], [{ inode: 5 }]), [null]);
});

Deno.test("an MPTCP connection that is being opened has the timer of its subflow's SYN", () => {
  const timerIn = (state: number) => {
    const kernel = kernelWith({
      mptcp: [{ inode: 5, state }],
      tcp: [{ inode: 5, cookie: [1, 0], state, timer: 1, expires: 700, retransmits: 1 }],
    });
    return listConnections(kernel.diag, [plan()], 0, 7).map(({ timer }) => timer);
  };
  assertEquals(timerIn(STATES["SYN-SENT"]), [{ name: "on", expiresMs: 700, retransmits: 1 }]);
  assertEquals(timerIn(STATES["ESTAB"]), [null]);
});

Deno.test("a subflow whose connection is not selected says whose it is", () => {
  const kernel = kernelWith({
    mptcp: [{ inode: 5, dst: [10, 0, 9, 9] }],
    tcp: [{ inode: 5, cookie: [1, 0], dst: [10, 0, 9, 9] }, { inode: 5, cookie: [2, 0] }],
  });
  const matches: DumpPlan["matches"] = (row) => row.dstWord(3) === 0x0a000005;
  assertEquals(briefs(kernel, plan({ matches })), ["tcp 10.0.0.5:443 ESTAB of 10.0.9.9:443"]);
});

Deno.test("an MPTCP connection that is closing keeps its subflows, which are still open", () => {
  const kernel = kernelWith({
    mptcp: [{ inode: 5, cookie: [9, 0], state: STATES["FIN-WAIT-2"] }],
    tcp: [{ inode: 5, cookie: [1, 0] }],
  });
  assertEquals(briefs(kernel), ["mptcp 10.0.0.5:443 FIN-WAIT-2"]);
  // A later pass does not look at what is closing, and must not take the subflow for a connection that is new.
  assertEquals(briefs(kernel, plan({ states: 1 << STATES["ESTAB"] })), []);
});

Deno.test("MPTCP connections without a descriptor are told apart, and recognise their first subflow by its ends", () => {
  const unaccepted = [11, 12, 13].map((last) => ({ dport: 9999, dst: [10, 0, 0, last] }));
  const orphans = [51, 52].map((sport) => ({ sport, dport: 8000 }));
  const kernel = kernelWith({
    mptcp: [...unaccepted, ...orphans.map((ends) => ({ ...ends, state: STATES["FIN-WAIT-2"] }))],
    tcp: [
      ...unaccepted.map((ends, i) => ({ ...ends, cookie: [100 + i, 0] as const })),
      // An orphan's subflow still has the inode that the connection had.
      ...orphans.map((ends, i) => ({ ...ends, cookie: [200 + i, 0] as const, inode: 70 + i })),
      { cookie: [300, 0] },
    ],
  });
  assertEquals(briefs(kernel), [
    "mptcp 10.0.0.11:9999 ESTAB",
    "mptcp 10.0.0.12:9999 ESTAB",
    "mptcp 10.0.0.13:9999 ESTAB",
    "mptcp 10.0.0.5:8000 FIN-WAIT-2",
    "mptcp 10.0.0.5:8000 FIN-WAIT-2",
    "tcp 10.0.0.5:443 ESTAB",
  ]);
});

Deno.test("an MPTCP connection that comes or goes while sockets are listed is not listed as its subflow", () => {
  for (const [from, to] of [[0, 6], [1, 6], [2, 6], [3, 6], [0, 4], [0, 3], [0, 2]] as const) {
    let dumps = 0;
    const kernel = new FakeKernel((request) => {
      const isThere = from <= dumps && dumps < to;
      dumps++;
      const rows = isThere ? [{ inode: 5, cookie: [request.protocol, 0] as const }] : [];
      return answer(request, rows.filter((row) => isAsked(row, request)));
    });
    assertEquals(briefs(kernel).filter((text) => text.startsWith("tcp")), [], `there in dumps ${from} to ${to}`);
  }
});

Deno.test("an MPTCP connection that is accepted, or closed, while sockets are listed keeps its first subflow", () => {
  for (const [tcp, mptcp] of [[0, 5], [5, 0]]) {
    const kernel = kernelWith({ tcp: [{ inode: tcp, cookie: [1, 0] }], mptcp: [{ inode: mptcp, cookie: [9, 0] }] });
    assertEquals(briefs(kernel), ["mptcp 10.0.0.5:443 ESTAB"]);
  }
});

Deno.test("a kernel without MPTCP lists TCP", () => {
  const kernel = new FakeKernel((request) =>
    request.protocol === MPTCP ? [refusal(request.sequence, ENOENT)] : answer(request, [{}])
  );
  assertEquals(briefs(kernel), ["tcp 10.0.0.5:443 ESTAB"]);
});

Deno.test("a kernel without tcp_diag cannot list", () => {
  const kernel = new FakeKernel(({ sequence }) => [refusal(sequence, ENOENT)]);
  assertEquals(assertThrows(() => list(kernel), SyscallError).code, "ENOENT");
});

Deno.test("a filter that the kernel refuses costs a second dump", () => {
  for (const errno of [EINVAL, EPERM]) {
    const [bytecode, fallback] = [Uint8Array.of(10, 12, 16, 0), Uint8Array.of(6, 4, 8, 0)];
    const kernel = new FakeKernel((request) => {
      if (request.bytecode?.[0] === bytecode[0]) return [refusal(request.sequence, errno)];
      return answer(request, request.protocol === TCP ? [{}] : []);
    });
    assertEquals(briefs(kernel, plan({ families: [AF_INET], bytecode, fallback })), ["tcp 10.0.0.5:443 ESTAB"]);
    const sent = kernel.requests.map(({ protocol, bytecode }) => [protocol, bytecode?.[0]]);
    assertEquals(sent, [[MPTCP, 6], [TCP, 10], [TCP, 6], [MPTCP, 6]]);
  }
});

Deno.test("without a lesser filter, and for any other reason, a refusal is a failure", () => {
  const refusing = (errno: number) =>
    new FakeKernel(({ protocol, sequence }) => [
      protocol === MPTCP ? done(sequence) : refusal(sequence, errno),
    ]);
  const bytecode = Uint8Array.of(6, 4, 8, 0);
  const same = plan({ bytecode, fallback: bytecode });
  assertEquals(assertThrows(() => list(refusing(EINVAL), same), SyscallError).code, "EINVAL");
  assertEquals(assertThrows(() => list(refusing(ENOMEM), plan({ bytecode })), SyscallError).code, "ENOMEM");
});
