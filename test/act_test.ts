// Acting on connections, with a kernel of the tests' own.

import { assertEquals } from "@std/assert";
import { Actor } from "../src/act.ts";
import type { Connection, Outcome } from "../src/connection.ts";
import { NLMSG_ERROR, NLMSGHDR_SIZE } from "../src/netlink/message.ts";
import { SockDiag } from "../src/sockdiag/sock_diag.ts";

const [ENOENT, EOPNOTSUPP] = [2, 95];

/** A kernel that answers every request with an errno. */
function kernelThatAnswers(errno: number): SockDiag {
  let sequence = 0;
  return new SockDiag(() => ({
    send: (request) => {
      sequence = new DataView(request.buffer, request.byteOffset).getUint32(8, true);
    },
    receive: (buffer) => {
      const view = new DataView(buffer.buffer);
      view.setUint32(0, NLMSGHDR_SIZE + 20, true);
      view.setUint16(4, NLMSG_ERROR, true);
      view.setUint32(8, sequence, true);
      view.setInt32(NLMSGHDR_SIZE, -errno, true);
      return NLMSGHDR_SIZE + 20;
    },
    close: () => {},
  }));
}

function connection(outcome: Outcome | null): Connection {
  const end = { address: "127.0.0.1", port: 1 };
  const described = { protocol: "tcp", family: "inet", state: "FIN-WAIT-2", src: end, dst: end } as const;
  const numbers = { shutdown: 0, interface: 0, rqueue: 0, wqueue: 0, inode: 7, uid: 0, netns: 1 };
  return { ...described, ...numbers, cookie: "c0ffee", owners: [], timer: null, outcome, error: null };
}

Deno.test("what was hung up on and has gone when it is to be aborted stays hung up", () => {
  const actor = new Actor({ linger_ms: 0 }, ({ state }) => state);
  const [hungUp, untouched] = [connection("hung-up"), connection(null)];
  for (const each of [hungUp, untouched]) actor.destroy(each, kernelThatAnswers(ENOENT));
  assertEquals([hungUp.outcome, hungUp.error], ["hung-up", null]);
  assertEquals([untouched.outcome, untouched.error], ["already-gone", "ended by itself"]);
  actor.close();
});

Deno.test("an MPTCP connection that nobody holds any more is looked for before it is said that it cannot be aborted", () => {
  for (const [now, outcome] of [[null, "already-gone"], ["ESTAB", "unsupported"]] as const) {
    const actor = new Actor({ linger_ms: 0 }, () => now);
    const mptcp: Connection = { ...connection(null), protocol: "mptcp" };
    actor.destroy(mptcp, kernelThatAnswers(EOPNOTSUPP));
    assertEquals(mptcp.outcome, outcome);
    actor.close();
  }
});
