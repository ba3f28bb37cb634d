// Rows of the journal: what is encoded is decoded again.

import { assertEquals } from "@std/assert";
import { decodeRows, encodeRows } from "../../src/front/rows.ts";
import type { Connection } from "../../src/model/connection.ts";
import { type Target, targetOf } from "../../src/model/result.ts";
import { sampleConnection } from "../harness/sample.ts";

function decoded(targets: readonly Target[]): Target[] {
  const pieces = encodeRows(targets);
  const bytes = new Uint8Array(3 + pieces.reduce((sum, { length }) => sum + length, 0));
  // The journal is read as a whole, in which rows begin anywhere.
  let at = 3;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return decodeRows(bytes.subarray(3));
}

const OWNER = { pid: 4242, fd: 17, comm: "java \u{1f415}\n" };

/** Every field that there is, with a value that no other has, and the largest that the kernel gives. */
const FULL: Required<Connection> = {
  protocol: "mptcp",
  family: "inet6",
  state: "FIN-WAIT-2",
  src: { address: "2001:db8::1", port: 65535 },
  dst: { address: "fe80::ffff", port: 65534 },
  shutdown: 3,
  subflowOf: "192.0.2.1:443",
  interface: 0xffffffff,
  rqueue: 0xfffffffe,
  wqueue: 0xfffffffd,
  inode: 0xfffffffc,
  cookie: "fedcba9876543210",
  uid: 0xfffffffb,
  netns: 4026531840,
  netnsName: "blue",
  timer: { name: "persist", expiresMs: 0xfffffffa, retransmits: 255 },
  tcpInfo: { lastDataSentMs: 1, lastDataRecvMs: 2, lastAckRecvMs: 3, rttUs: 4 },
  silentMs: 2,
};

const PLAIN: readonly Connection[] = [
  sampleConnection(),
  sampleConnection({ timer: null, inode: 0, cookie: "1", state: "SYN-SENT" }),
  sampleConnection({ cookie: "10000c6f9", netnsName: "blue", src: { address: "10.0.0.8", port: 1 } }),
];

Deno.test("a target that was just found is in the journal as it is", () => {
  const targets = PLAIN.map((connection) => targetOf(connection));
  targets[0]!.owners = [OWNER];
  assertEquals(decoded(targets), targets);
  assertEquals(decoded([]), []);
});

Deno.test("whatever a connection and a target may have is in the journal", () => {
  const full: Required<Target> = {
    ...targetOf(FULL),
    owners: [OWNER, { ...OWNER, pid: 1, tid: 7 }],
    ownersLeftOut: 12,
    result: { outcome: "skipped", reason: "session", message: "the ssh connection of this session" },
    trouble: "pid 4242 (java): EMFILE",
    ownerAttempts: 2,
  };
  const thread: Target = { ...targetOf(sampleConnection()), owners: [{ ...OWNER, tid: 4243 }] };
  assertEquals(decoded([full, thread, full]), [full, thread, full]);
});

Deno.test("a row is 80 bytes", () => {
  const size = (count: number) => {
    const pieces = encodeRows(Array.from({ length: count }, () => ({ ...targetOf(PLAIN[0]!), owners: [OWNER] })));
    return pieces.reduce((sum, { length }) => sum + length, 0);
  };
  assertEquals(size(1001) - size(1), 80_000);
});
