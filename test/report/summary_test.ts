// Grouping connections by destination and process.

import { assertEquals } from "@std/assert";
import type { ListedConnection } from "../../src/model/connection.ts";
import { IDLE_AFTER_MS, idleOf, summarize } from "../../src/report/summary.ts";
import { type Sample, sampleConnection, sampleInfo, sampleKeepalive, sampleListed } from "../harness/sample.ts";

const ON = sampleKeepalive();
const OFF = sampleKeepalive({ enabled: false });

/** So many connections to a port of 10.0.0.5, each from a port of its own. */
function pool(count: number, port: number, given: Sample = {}): ListedConnection[] {
  return Array.from({ length: count }, (_, i) =>
    sampleListed({
      src: { address: "10.0.0.7", port: 40_000 + i },
      dst: { address: "10.0.0.5", port },
      keepalive: ON,
      ...given,
    }));
}

Deno.test("groups are by destination and process, the largest first", () => {
  const python = [{ pid: 7, fd: 3, comm: "python3" }];
  const { groups, total } = summarize([
    ...pool(2, 5432),
    ...pool(3, 5432, { owners: python }),
    ...pool(4, 6379),
    ...pool(1, 80, { owners: [] }),
  ]);
  assertEquals(groups.map(({ count, destination, process }) => [count, destination.port, process]), [
    [4, 6379, "java"],
    [3, 5432, "python3"],
    [2, 5432, "java"],
    [1, 80, null],
  ]);
  assertEquals(total.count, 10);
});

Deno.test("processes of one name are one group, and all are named", () => {
  const worker = (pid: number) => ({ owners: [{ pid, fd: 3, comm: "nginx" }] });
  const { groups } = summarize([...pool(1, 80, worker(12)), ...pool(1, 80, worker(9)), ...pool(1, 80, worker(12))]);
  assertEquals(groups.map(({ pids, count }) => ({ pids, count })), [{ pids: [9, 12], count: 3 }]);
});

Deno.test("states, idleness, keepalive and queues are counted", () => {
  const idle = { tcpInfo: sampleInfo(IDLE_AFTER_MS, IDLE_AFTER_MS) };
  const busy = { tcpInfo: sampleInfo(IDLE_AFTER_MS, IDLE_AFTER_MS - 1) };
  const { groups: [group], total } = summarize([
    ...pool(1, 80, { ...idle, rqueue: 10 }),
    ...pool(2, 80, { ...busy, keepalive: OFF, state: "CLOSE-WAIT" }),
    ...pool(1, 80, { ...idle, keepalive: null, wqueue: 7 }),
    ...pool(1, 80, { ...idle, state: "SYN-SENT" }),
  ]);
  const totals = {
    count: 5,
    states: { "ESTAB": 2, "CLOSE-WAIT": 2, "SYN-SENT": 1 },
    idle: 2,
    withoutKeepalive: 2,
    keepaliveUnknown: 1,
    rqueue: 10,
    wqueue: 7,
  };
  assertEquals(total, totals);
  assertEquals({ ...group!, ...totals }, group);
});

Deno.test("the commonest state comes first", () => {
  const { total } = summarize([...pool(1, 80), ...pool(3, 80, { state: "FIN-WAIT-2" })]);
  assertEquals(Object.keys(total.states), ["FIN-WAIT-2", "ESTAB"]);
});

/** Connections that were accepted on a port here, one from each address. */
function accepted(count: number, port: number, given: Sample = {}): ListedConnection[] {
  return Array.from({ length: count }, (_, i) =>
    sampleListed({
      src: { address: "10.0.0.7", port },
      dst: { address: `192.0.2.${i}`, port: 50_000 + i },
      ...given,
    }));
}

Deno.test("connections that were accepted are grouped by where, and their peers counted", () => {
  const { groups } = summarize(accepted(1, 443), (_, port) => port === 443);
  const { direction, destination, peers } = groups[0]!;
  assertEquals({ direction, destination, peers, groups: groups.length }, {
    direction: "in",
    destination: { address: "10.0.0.7", port: 443 },
    peers: 1,
    groups: 1,
  });
});

Deno.test("connections that a server accepted before it stopped listening are still one group", () => {
  const { groups } = summarize(accepted(5, 443));
  assertEquals(groups.map(({ direction, count, peers }) => ({ direction, count, peers })), [
    { direction: "in", count: 5, peers: 5 },
  ]);
});

Deno.test("a client that uses one port for several destinations has not accepted there", () => {
  const connections = [5432, 6379, 80].map((port) => sampleListed({ dst: { address: "10.0.0.5", port } }));
  assertEquals(summarize(connections).groups.map(({ direction }) => direction), ["out", "out", "out"]);
});

Deno.test("a port that is listened on in another namespace is not", () => {
  const isListening = (netns: number, port: number) => netns === 1 && port === 51234;
  const { groups } = summarize([sampleListed({ netns: 1 }), sampleListed({ netns: 2 })], isListening);
  assertEquals(groups.map(({ netns, direction }) => ({ netns, direction })), [
    { netns: 1, direction: "in" },
    { netns: 2, direction: "out" },
  ]);
});

Deno.test("nothing comes to nothing", () => {
  const none = { count: 0, states: {}, idle: 0, withoutKeepalive: 0, keepaliveUnknown: 0, rqueue: 0, wqueue: 0 };
  assertEquals(summarize([]), { total: none, groups: [] });
});

Deno.test("MPTCP is as idle as the kernel says, and of unknown idleness where it does not", () => {
  const given = { protocol: "mptcp" } as const;
  assertEquals(idleOf(sampleConnection({ ...given, tcpInfo: sampleInfo(9, 5) })), 5);
  assertEquals(idleOf(sampleConnection({ ...given, tcpInfo: null })), null);
});
