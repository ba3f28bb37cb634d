// Disconnecting, with a fake kernel.

import { assertEquals, assertMatch } from "@std/assert";
import { Disconnector } from "../../src/act/disconnect.ts";
import type { Connection } from "../../src/model/connection.ts";
import { type Outcome, type Target, targetOf } from "../../src/model/result.ts";
import { NLMSG_ERROR, NLMSGHDR_SIZE } from "../../src/linux/netlink/message.ts";
import { NetnsError } from "../../src/linux/netns/enter.ts";
import { hasCapability } from "../../src/linux/proc/permissions.ts";
import { SockDiag } from "../../src/linux/netlink/sock_diag.ts";
import { sampleConnection } from "../harness/sample.ts";
import { sampleResult } from "../harness/sample_report.ts";

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

function target(outcome: Outcome | null, given: Partial<Connection> = {}): Target {
  const result = outcome === null ? null : sampleResult(outcome);
  return { ...targetOf(sampleConnection({ state: "FIN-WAIT-2", ...given })), result };
}

Deno.test("what was hung up on and has gone when it is to be aborted stays hung up", () => {
  const disconnector = new Disconnector({ lingerMs: 0 }, ({ state }) => state);
  const [hungUp, untouched] = [target("hung-up"), target(null)];
  for (const each of [hungUp, untouched]) disconnector.destroy(each, kernelThatAnswers(ENOENT));
  assertEquals([hungUp.result?.outcome, hungUp.result?.message], ["hung-up", null]);
  assertEquals(untouched.result, { outcome: "already-gone", reason: "gone", message: "ended by itself" });
  disconnector.close();
});

Deno.test("of MPTCP connections that nobody holds any more, one look tells which have gone", () => {
  const disconnector = new Disconnector({ lingerMs: 0 }, () => null);
  const known = Array.from({ length: 1000 }, (_, port) => {
    const before = port === 2 ? "hung-up" : null;
    return target(before, { protocol: "mptcp", src: { address: "127.0.0.1", port } });
  });
  for (const each of known) disconnector.destroy(each, kernelThatAnswers(EOPNOTSUPP));
  let lists = 0;
  disconnector.setOutcomeOfGoneMptcp(known, (some) => {
    lists++;
    return [...some].filter(({ src }) => src.port > 2);
  });
  assertEquals(lists, 2);
  assertEquals(known.slice(0, 4).map(({ result }) => result?.outcome), [
    "already-gone",
    "already-gone",
    "hung-up",
    // Without the right to destroy anything, the kernel is not asked for the reason.
    hasCapability("CAP_NET_ADMIN") ? "unsupported" : "denied",
  ]);
  disconnector.close();
});

Deno.test("no dump is made when every MPTCP connection has its outcome", () => {
  const disconnector = new Disconnector({ lingerMs: 0 }, () => null);
  const gone = target(null);
  disconnector.destroy(gone, kernelThatAnswers(ENOENT));
  disconnector.setOutcomeOfGoneMptcp([gone], () => {
    throw new Error("looked");
  });
  disconnector.close();
});

Deno.test("a connection in a network namespace that cannot be entered is not said to have ended", () => {
  const disconnector = new Disconnector({ lingerMs: 0 }, ({ state }) => state);
  const there = target(null, { inode: 0, state: "ESTAB" });
  const place = { ino: 1, paths: ["/proc/1/ns/net"] } as const;
  disconnector.destroy(
    there,
    new SockDiag(() => {
      throw new NetnsError(place, "gone");
    }),
  );
  assertEquals(there.result?.outcome !== "already-gone", true);
  assertMatch(there.result!.message!, /^Cannot enter the network namespace \/proc\/1\/ns\/net: it is gone/);
  disconnector.close();
});

Deno.test("so it is where the state of the connection is looked up in vain", () => {
  const enter = () => {
    throw new NetnsError({ ino: 1, paths: ["/proc/1/ns/net"] }, "forbidden");
  };
  const disconnector = new Disconnector({ lingerMs: 0 }, enter);
  const there = target(null, { inode: 0, state: "ESTAB" });
  disconnector.destroy(there, new SockDiag(enter));
  assertMatch(there.result!.message!, /^Cannot enter the network namespace \/proc\/1\/ns\/net: it is forbidden/);
  disconnector.close();
});
