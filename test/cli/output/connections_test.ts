// What a person is told of connections: the table, and the line that sums up.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ownersText } from "../../../src/cli/output/connections.ts";
import { reportLine } from "../../../src/cli/output/report.ts";
import { outcomeTable } from "../../../src/cli/output/tables.ts";
import { forStream } from "../../../src/cli/output/terminal.ts";
import type { Connection } from "../../../src/model/connection.ts";
import type { Report } from "../../../src/report/report.ts";
import { sampleConnection } from "../../harness/sample.ts";
import { sampleOutcomes, sampleReport } from "../../harness/sample_report.ts";

const owner = (pid: number, fd = 3, comm = "nginx") => ({ pid, fd, comm });

function table(connections: Connection[], verbose = false): string[] {
  return [...outcomeTable(connections, verbose)].map((line) => forStream(line, 1));
}

function summaryOf(outcomes: readonly string[], given: Partial<Report> = {}): string {
  return reportLine(sampleReport(sampleOutcomes(...outcomes), given));
}

/** `text` so many times. */
function times(count: number, text: string): string[] {
  return new Array(count).fill(text);
}

Deno.test("a table has a line for each connection, in columns", () => {
  const connections = [
    sampleConnection({ outcome: "hung-up" }),
    sampleConnection({
      state: "CLOSE-WAIT",
      dst: { address: "2001:db8::1", port: 80 },
      owners: [],
      outcome: "no-owner",
      error: "not yet accepted by the application",
    }),
  ];
  assertEquals(table(connections), [
    "State       Local           Remote            Process    Outcome",
    "ESTAB       10.0.0.7:51234  10.0.0.5:443      4242/java  hung up",
    "CLOSE-WAIT  10.0.0.7:51234  [2001:db8::1]:80  -          no owner: not yet accepted by the application",
  ]);
});

Deno.test("where several namespaces were looked at, each line says which", () => {
  const named = sampleConnection({ outcome: "hung-up", netns_name: "blue" });
  const lines = table([named, sampleConnection({ outcome: "hung-up" })]);
  assertEquals(lines.map((line) => line.split(/ {2,}/)[0]), ["Netns", "blue", "4026531840"]);
});

Deno.test("an owner is a process and its name; the others are counted, by process", () => {
  const held = (...owners: Connection["owners"]) => ownersText(sampleConnection({ owners }), false);
  assertEquals(held(), "-");
  assertEquals(held(owner(7)), "7/nginx");
  assertEquals(held(owner(7, 3), owner(7, 4)), "7/nginx");
  assertEquals(held(owner(7, 3), owner(7, 4), owner(8), owner(9)), "7/nginx +2");
  const all = ownersText(sampleConnection({ owners: [owner(7, 0), owner(8, 12)] }), true);
  assertEquals(all, "7/nginx fd 0, 8/nginx fd 12");
});

Deno.test("of a socket that was duplicated without end a table names some descriptors, and counts the others", () => {
  const owners = Array.from({ length: 100 }, (_, fd) => owner(7, fd));
  const connection = { ...sampleConnection({ owners }), owners_left_out: 79_900 };
  assertEquals(ownersText(connection, false), "7/nginx and 79999 more");
  assertMatch(ownersText(connection, true), /^7\/nginx fd 0, (.*, ){8}7\/nginx fd 9 and 79990 more$/);
});

/** Every character that a process may have in its name, or a namespace in its own, and that is not for a terminal. */
const CONTROLS = [
  ...Array.from({ length: 0x20 }, (_, code) => String.fromCharCode(code)),
  ...Array.from({ length: 0x21 }, (_, i) => String.fromCharCode(0x7f + i)),
  ..."\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
];

// deno-lint-ignore no-control-regex
const UNPRINTABLE = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

Deno.test("nothing that comes from a process or a namespace drives the terminal", () => {
  for (const control of CONTROLS) {
    const name = `a${control}[31mb`;
    const hostile = sampleConnection({
      owners: [owner(7, 3, name)],
      netns_name: name,
      outcome: "denied",
      error: `pid 7 (${name}): needs CAP_SYS_PTRACE`,
    });
    const lines = [...table([hostile]), ...table([hostile], true), forStream(reportLine(sampleReport([hostile])), 1)];
    for (const line of lines) assert(!UNPRINTABLE.test(line), JSON.stringify(line));
    assert(lines[1].includes("[31mb") && lines[4].includes("[31mb"), "what can be printed is");
  }
});

Deno.test("nothing matched", () => {
  assertEquals(summaryOf([]), "no connections match");
  assertEquals(summaryOf([], { interrupted: true }), "interrupted: no connections matched");
});

Deno.test("all of it was done", () => {
  assertEquals(summaryOf(["hung-up"]), "hung up on 1 connection");
  assertEquals(summaryOf(times(3, "hung-up")), "hung up on 3 connections");
  assertEquals(summaryOf(times(2, "destroyed")), "destroyed 2 connections");
  assertEquals(summaryOf(times(2, "would-hang-up"), { dry_run: true }), "would act on 2 connections");
});

Deno.test("some of it was done, and the rest has reasons", () => {
  const denied = "denied: pid 812 (postgres): needs CAP_SYS_PTRACE";
  assertEquals(
    reportLine(sampleReport([
      ...sampleOutcomes(...times(10, "hung-up")),
      sampleConnection({ outcome: "denied", error: "pid 812 (postgres): needs CAP_SYS_PTRACE" }),
    ])),
    `hung up on 10 of 11 connections; 1 ${denied}`,
  );
  assertEquals(
    summaryOf(["hung-up", "destroyed", "skipped: mine"]),
    "hung up on 1 and destroyed 1 of 3 connections; 1 skipped: mine",
  );
  assertEquals(summaryOf(["no-owner: gone"]), "hung up on 0 of 1 connection; 1 no owner: gone");
  assertEquals(
    summaryOf(["would-hang-up", "no-owner: gone"], { dry_run: true }),
    "would act on 1 of 2 connections; 1 no owner: gone",
  );
});

Deno.test("the commonest reasons stand first, with how often; the rarest are counted", () => {
  const failures = [
    ...times(1, "failed: a"),
    ...times(5, "failed: b"),
    ...times(3, "failed: c"),
    "failed: d",
    "failed: e",
  ];
  assertEquals(summaryOf(failures), "hung up on 0 of 11 connections; 11 failed: b (5), c (3), a, and 2 other reasons");
  assertEquals(summaryOf(times(4, "failed: b")), "hung up on 0 of 4 connections; 4 failed: b");
});

Deno.test("what a guard refused, and what ended it early", () => {
  assertEquals(summaryOf(times(2, "skipped"), { refused: "2 match" }), "nothing touched: 2 match");
  assertEquals(summaryOf(["hung-up"], { interrupted: true }), "interrupted: hung up on 1 connection");
  assertEquals(summaryOf(["hung-up"], { error: "broke" }), "hung up on 1 connection; ended early: broke");
});

Deno.test("what has gone is said where it was looked for", () => {
  assertEquals(summaryOf(["hung-up", "hung-up"], { gone: 2 }), "hung up on 2 connections; all gone");
  assertEquals(
    summaryOf(["hung-up", "skipped: mine"], { gone: 1 }),
    "hung up on 1 of 2 connections; 1 skipped: mine; all gone",
  );
  assertEquals(summaryOf(["hung-up", "hung-up"], { gone: 1 }), "hung up on 2 connections; 1 of 2 gone");
  assertEquals(summaryOf(["skipped: mine"], { gone: 0 }), "hung up on 0 of 1 connection; 1 skipped: mine");
});
