// The summary as text: on one screen, whatever there is.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { summaryLines, sysctlLines, unreadLine } from "../../../src/cli/output/summary.ts";
import { KERNEL_DEFAULTS } from "../../../src/keepalive/detection.ts";
import { summarize } from "../../../src/report/summary.ts";
import { sampleInfo, sampleKeepalive, sampleListed } from "../../harness/sample.ts";

const to = (port: number, given = {}) =>
  sampleListed({
    dst: { address: "10.0.0.5", port },
    keepalive: sampleKeepalive(),
    tcpInfo: sampleInfo(0, 0),
    ...given,
  });

Deno.test("a group is a row, and the last line adds up", () => {
  const lines = summaryLines(summarize([
    to(80),
    to(80, { state: "CLOSE-WAIT", keepalive: sampleKeepalive({ enabled: false }), rqueue: 5 }),
    to(80, { tcpInfo: sampleInfo(90_000, 90_000), keepalive: null }),
    to(443, { owners: [{ pid: 1, fd: 1, comm: "a\tb" }], wqueue: 11 }),
  ]));
  assertEquals(lines, [
    "Count  Destination   Process    State                  Idle  No keepalive   Recv-Q  Send-Q",
    "3      10.0.0.5:80   4242/java  2 ESTAB, 1 CLOSE-WAIT  1     1 (1 unknown)  5       0",
    "1      10.0.0.5:443  1/a\\x09b   ESTAB                  0     0              0       11",
    "",
    "4 connections: 3 ESTAB, 1 CLOSE-WAIT; 1 idle for 1 min or longer; 1 (1 unknown) without keepalive; " +
    "5 bytes not read, 11 not acknowledged",
  ]);
});

Deno.test("accepted connections and several processes are counted", () => {
  const owners = [8, 9].map((pid) => ({ pid, fd: 3, comm: "nginx" }));
  const from = (address: string) =>
    sampleListed({ src: { address: "10.0.0.7", port: 443 }, dst: { address, port: 50_000 }, owners });
  const lines = summaryLines(summarize([from("192.0.2.1"), from("192.0.2.2")]));
  assertMatch(lines[1]!, /^2 +10\.0\.0\.7:443 from 2 peers +nginx \(2\) +ESTAB /);
});

Deno.test("a summary keeps to the height that there is, and says what it leaves out", () => {
  const connections = Array.from({ length: 50 }, (_, i) => to(i + 1));
  const lines = summaryLines(summarize([...connections, to(1)]), 10);
  assertEquals(lines.length, 10);
  assertMatch(lines[1]!, /^2 /);
  assertEquals(lines[7], "44  in 44 more groups: --json names them all");
  assertEquals(summaryLines(summarize(connections)).length, 53);
  assert(summaryLines(summarize(connections), 1).length < 6, "the least that makes sense");
});

Deno.test("groups that just fit are all shown", () => {
  const connections = Array.from({ length: 7 }, (_, i) => to(i + 1));
  assertEquals(summaryLines(summarize(connections), 10).length, 10);
  assert(summaryLines(summarize(connections), 10).every((line) => !line.includes("more group")));
});

Deno.test("no connections have no summary", () => {
  assertEquals(summaryLines(summarize([])), ["no connections match"]);
});

Deno.test("the settings of a namespace, and what comes of them", () => {
  assertEquals(sysctlLines([{ netns: 7, ...KERNEL_DEFAULTS }]), [
    "net.ipv4.tcp_keepalive_{time,intvl,probes} = 7200, 75, 9: a dead peer is noticed after 2 h 11 min with " +
    "SO_KEEPALIVE alone, never without it, and with data unacknowledged after 15 min 25 s",
  ]);
  const changed = { ...KERNEL_DEFAULTS, tcpKeepaliveTime: 60, tcpKeepaliveIntvl: 10, tcpKeepaliveProbes: 3 };
  const [first = "", second = ""] = sysctlLines([{ netns: 7, ...KERNEL_DEFAULTS }, { netns: 8, ...changed }]);
  assertMatch(first, /^network namespace 7: .* = 7200, 75, 9: /);
  assertMatch(second, /^network namespace 8: .* = 60, 10, 3: a dead peer is noticed after 1 min 30 s with /);
  assertEquals(sysctlLines([]), []);
});

Deno.test("namespaces with the same settings are one line", () => {
  const many = [7, 8, 9].map((netns) => ({ netns, ...KERNEL_DEFAULTS }));
  const lines = sysctlLines([...many, { netns: 10, ...KERNEL_DEFAULTS, tcpKeepaliveTime: 60 }]);
  assertEquals(lines.map((line) => line.split(": ")[0]), ["3 network namespaces", "network namespace 10"]);
});

Deno.test("one line says why keepalive is unknown", () => {
  assertEquals(unreadLine([], 5), null);
  const denied = { reason: "needs CAP_SYS_PTRACE", count: 3 };
  assertEquals(
    unreadLine([denied], 5),
    "the keepalive of 3 of 5 connections could not be read: needs CAP_SYS_PTRACE",
  );
  assertEquals(
    unreadLine([denied, { reason: "closed meanwhile", count: 1 }], 5),
    "the keepalive of 4 of 5 connections could not be read: needs CAP_SYS_PTRACE (3), closed meanwhile (1)",
  );
});
