// Disconnecting, with a fake kernel.

import { assertEquals, assertMatch } from "@std/assert";
import { Disconnector } from "../../src/act/disconnect.ts";
import type { Connection, Outcome } from "../../src/model/connection.ts";
import { NLMSG_ERROR, NLMSGHDR_SIZE } from "../../src/linux/netlink/message.ts";
import { NetnsError } from "../../src/linux/netns/enter.ts";
import { SockDiag } from "../../src/linux/netlink/sock_diag.ts";

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
  const disconnector = new Disconnector({ lingerMs: 0 }, ({ state }) => state);
  const [hungUp, untouched] = [connection("hung-up"), connection(null)];
  for (const each of [hungUp, untouched]) disconnector.destroy(each, kernelThatAnswers(ENOENT));
  assertEquals([hungUp.outcome, hungUp.error], ["hung-up", null]);
  assertEquals([untouched.outcome, untouched.error], ["already-gone", "ended by itself"]);
  disconnector.close();
});

Deno.test("of MPTCP connections that nobody holds any more, one look tells which have gone", () => {
  const disconnector = new Disconnector({ lingerMs: 0 }, () => null);
  const known = Array.from({ length: 1000 }, (_, port): Connection => {
    const before = port === 2 ? "hung-up" : null;
    return { ...connection(before), protocol: "mptcp", src: { address: "127.0.0.1", port } };
  });
  for (const each of known) disconnector.destroy(each, kernelThatAnswers(EOPNOTSUPP));
  let lists = 0;
  disconnector.setOutcomeOfGoneMptcp(known, (some) => {
    lists++;
    return [...some].filter(({ src }) => src.port > 2);
  });
  assertEquals(lists, 2);
  assertEquals(known.slice(0, 4).map(({ outcome }) => outcome), [
    "already-gone",
    "already-gone",
    "hung-up",
    "unsupported",
  ]);
  disconnector.close();
});

Deno.test("no dump is made when every MPTCP connection has its outcome", () => {
  const disconnector = new Disconnector({ lingerMs: 0 }, () => null);
  const gone = connection(null);
  disconnector.destroy(gone, kernelThatAnswers(ENOENT));
  disconnector.setOutcomeOfGoneMptcp([gone], () => {
    throw new Error("looked");
  });
  disconnector.close();
});

Deno.test("a connection in a network namespace that cannot be entered is not said to have ended", () => {
  const disconnector = new Disconnector({ lingerMs: 0 }, ({ state }) => state);
  const there = { ...connection(null), inode: 0, state: "ESTAB" as const };
  const place = { ino: 1, paths: ["/proc/1/ns/net"] } as const;
  disconnector.destroy(
    there,
    new SockDiag(() => {
      throw new NetnsError(place, "gone");
    }),
  );
  assertEquals(there.outcome !== "already-gone", true);
  assertMatch(there.error!, /^Cannot enter the network namespace \/proc\/1\/ns\/net: it is gone/);
  disconnector.close();
});
