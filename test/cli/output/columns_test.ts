// The columns of `tcphup ls`: their names, their cells, and the order that they sort rows in.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { COLUMNS, columnsHelp, parseColumns, parseOrder, sortConnections } from "../../../src/cli/output/columns.ts";
import { UsageError } from "../../../src/model/errors.ts";
import { type Sample, sampleInfo, sampleKeepalive, sampleListed } from "../../harness/sample.ts";

const NAMES = (text?: string, keepalive?: boolean) => parseColumns(text, keepalive).map(({ name }) => name);
const DEFAULT = ["state", "recv-q", "send-q", "local", "remote", "process", "timer"];

/** The cell of one column. */
function cell(name: string, given: Sample = {}, verbose = false): string {
  return COLUMNS.find((column) => column.name === name)!.text(sampleListed(given), verbose);
}

Deno.test("the usual columns are those of ss -tno and the owner", () => {
  assertEquals(NAMES(), DEFAULT);
});

Deno.test("columns are shown as they are named, each once, in any case", () => {
  assertEquals(NAMES("remote,State,remote,rtt"), ["remote", "state", "rtt"]);
});

Deno.test("a plus adds columns to the usual ones", () => {
  assertEquals(NAMES("+idle,rtt,state"), [...DEFAULT, "idle", "rtt"]);
});

Deno.test("--keepalive adds its columns, to whichever there are", () => {
  assertEquals(NAMES(undefined, true), [...DEFAULT, "keepalive", "noticed"]);
  assertEquals(NAMES("noticed,remote", true), ["noticed", "remote", "keepalive"]);
});

Deno.test("an unknown column is named, with those that there are", () => {
  for (const text of ["state,colour", "+colour", "colour"]) {
    const error = assertThrows(() => parseColumns(text), UsageError, 'Unknown column "colour" for --columns');
    for (const { name } of COLUMNS) assert(error.message.includes(name), name);
  }
  assertThrows(() => parseColumns(""), UsageError, 'Unknown column ""');
  assertThrows(() => parseColumns("state,,timer"), UsageError, 'Unknown column ""');
  assertThrows(() => parseOrder("-colour"), UsageError, 'Unknown column "colour" for --sort');
});

Deno.test("a cell says what ss says", () => {
  assertEquals(cell("state", { state: "FIN-WAIT-1" }), "FIN-WAIT-1");
  assertEquals(cell("local"), "10.0.0.7:51234");
  assertEquals(cell("remote", { dst: { address: "2001:db8::1", port: 443 } }), "[2001:db8::1]:443");
  assertEquals(cell("recv-q", { rqueue: 100 }), "100");
  assertEquals(cell("timer"), "");
  const timer = (expiresMs: number) =>
    cell("timer", { timer: { name: "keepalive" as const, expiresMs, retransmits: 0 } });
  assertEquals(timer(112_000), "timer:(keepalive,1min52sec,0)");
  assertEquals(timer(120_000), "timer:(keepalive,2min,0)");
  assertEquals(timer(7_199_000), "timer:(keepalive,119min,0)");
  assertEquals(timer(14_820), "timer:(keepalive,14sec,0)");
  assertEquals(timer(9_064), "timer:(keepalive,9.064sec,0)");
  assertEquals(timer(9_000), "timer:(keepalive,9sec,0)");
  assertEquals(timer(64), "timer:(keepalive,064ms,0)");
});

Deno.test("a process is named with how many others hold the connection", () => {
  const owners = [4, 5, 6].map((pid) => ({ pid, fd: 3, comm: "nginx" }));
  assertEquals(cell("process", { owners }), "4/nginx +2");
  assertEquals(cell("process", { owners }, true), "4/nginx fd 3, 5/nginx fd 3, 6/nginx fd 3");
  assertEquals(cell("process", { owners: [] }), "-");
});

Deno.test("keepalive is off, or the sum that it comes to", () => {
  assertEquals(cell("keepalive", { keepalive: sampleKeepalive() }), "7200s+9*75s");
  assertEquals(cell("keepalive", { keepalive: sampleKeepalive({ enabled: false }) }), "off");
  const userTimeoutMs = 30_000;
  assertEquals(
    cell("keepalive", { keepalive: sampleKeepalive({ userTimeoutMs }) }),
    "7200s+9*75s,user-timeout:30000ms",
  );
  assertEquals(
    cell("keepalive", { keepalive: sampleKeepalive({ enabled: false, userTimeoutMs }) }),
    "off,user-timeout:30000ms",
  );
  assertEquals(cell("keepalive", { keepalive: sampleKeepalive({ userTimeoutMs: null }) }), "7200s+9*75s");
  assertEquals(cell("keepalive", { keepalive: null }), "?");
});

Deno.test("the time until a dead peer is noticed is written in words", () => {
  const noticed = (idleMs: number | null) => cell("noticed", { deadPeerNoticed: { idleMs, inFlightMs: 924_600 } });
  assertEquals(noticed(null), "never; with data 15 min 25 s");
  assertEquals(noticed(7_875_000), "2 h 11 min; with data 15 min 25 s");
  assertEquals(cell("noticed", { deadPeerNoticed: null }), "?");
});

Deno.test("a connection is idle since data went either way, once it is established", () => {
  assertEquals(cell("idle", { tcpInfo: sampleInfo(5000, 752) }), "752ms");
  assertEquals(cell("idle", { tcpInfo: sampleInfo(125_000, 300_000) }), "2min5sec");
  assertEquals(cell("idle", { tcpInfo: sampleInfo(5000, 752), state: "SYN-SENT" }), "-");
  assertEquals(cell("idle", { tcpInfo: null }), "-");
});

Deno.test("what the kernel does not say is a dash, not a number", () => {
  for (const { name, needs } of COLUMNS) {
    if (needs === "tcpInfo") assertEquals(cell(name, { tcpInfo: null }), "-", name);
  }
  assertEquals(cell("rtt", { tcpInfo: sampleInfo(0, 0) }), "-");
  assertEquals(cell("rtt", { tcpInfo: { ...sampleInfo(0, 0), rttUs: 62 } }), "0.062ms");
  assertEquals(cell("notsent", { tcpInfo: { ...sampleInfo(0, 0), notsentBytes: null } }), "-");
});

/** The ports of connections in the order of one column. */
function ordered(order: string, connections: Sample[]): number[] {
  const all = connections.map((given, i) => sampleListed({ src: { address: "10.0.0.7", port: i }, ...given }));
  return sortConnections(all, parseOrder(order)).map(({ connection }) => connection.src.port);
}

Deno.test("numbers are ordered as numbers", () => {
  assertEquals(ordered("recv-q", [{ rqueue: 9 }, { rqueue: 100 }, { rqueue: 20 }]), [0, 2, 1]);
  assertEquals(ordered("-recv-q", [{ rqueue: 9 }, { rqueue: 100 }, { rqueue: 20 }]), [1, 2, 0]);
});

Deno.test("addresses are ordered as addresses, IPv4 first, then by port", () => {
  const ends = [["2001:db8::1", 1], ["10.0.0.9", 443], ["9.0.0.1", 443], ["10.0.0.9", 80], ["10.0.0.10", 1]] as const;
  const connections = ends.map(([address, port]) => ({ dst: { address, port } }));
  assertEquals(ordered("remote", connections), [2, 3, 1, 4, 0]);
});

Deno.test("what is not known comes last, in either direction", () => {
  const connections = [{ tcpInfo: null }, { tcpInfo: sampleInfo(5, 5) }, { tcpInfo: sampleInfo(90, 90) }];
  assertEquals(ordered("idle", connections), [1, 2, 0]);
  assertEquals(ordered("-idle", connections), [2, 1, 0]);
});

Deno.test("equal connections stay in their order", () => {
  assertEquals(ordered("state", [{}, {}, {}]), [0, 1, 2]);
  assertEquals(ordered("-state", [{}, {}, {}]), [0, 1, 2]);
});

Deno.test("a keepalive that is off is later than any other", () => {
  const keepalives = [{ enabled: false }, {}, { idleS: 15, intervalS: 15 }].map(sampleKeepalive);
  assertEquals(ordered("keepalive", keepalives.map((keepalive) => ({ keepalive }))), [2, 1, 0]);
  const noticed = [null, 7_875_000, 150_000].map((idleMs) => ({ idleMs, inFlightMs: 1 }));
  assertEquals(ordered("-noticed", noticed.map((deadPeerNoticed) => ({ deadPeerNoticed }))), [0, 1, 2]);
});

Deno.test("no two columns have one name, and the help has them all", () => {
  assertEquals(new Set(COLUMNS.map(({ name }) => name)).size, COLUMNS.length);
  assertEquals(columnsHelp().split("\n").length, COLUMNS.length);
});
