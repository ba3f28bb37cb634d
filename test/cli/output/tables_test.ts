// Tables: how rows are laid out, and what foreign names cannot do to them.

import { assert, assertEquals } from "@std/assert";
import { parseColumns } from "../../../src/cli/output/columns.ts";
import { reportLine } from "../../../src/cli/output/report.ts";
import { connectionTable, outcomeTable, renderTable } from "../../../src/cli/output/tables.ts";
import { forStream } from "../../../src/cli/output/terminal.ts";
import type { HangUpResult } from "../../../src/model/result.ts";
import { sampleListed } from "../../harness/sample.ts";
import { sampleReport, sampleResult } from "../../harness/sample_report.ts";

function table(results: HangUpResult[], verbose = false): string[] {
  return [...outcomeTable(results, verbose)].map((line) => forStream(line, 1));
}

Deno.test("a table has a line for each connection, in columns", () => {
  const results = [
    sampleResult("hung-up"),
    sampleResult("no-owner", "not yet accepted by the application", {
      state: "CLOSE-WAIT",
      dst: { address: "2001:db8::1", port: 80 },
      owners: [],
    }),
  ];
  assertEquals(table(results), [
    "State       Local           Remote            Process    Outcome",
    "ESTAB       10.0.0.7:51234  10.0.0.5:443      4242/java  hung up",
    "CLOSE-WAIT  10.0.0.7:51234  [2001:db8::1]:80  -          no owner: not yet accepted by the application",
  ]);
});

Deno.test("where several namespaces were looked at, each line says which", () => {
  const named = sampleResult("hung-up", null, { netnsName: "blue" });
  const lines = table([named, sampleResult("hung-up")]);
  assertEquals(lines.map((line) => line.split(/ {2,}/)[0]), ["Netns", "blue", "4026531840"]);
});

Deno.test("columns line up under wide characters", () => {
  assertEquals([...renderTable(["A", "B"], [["日本", "1"], ["abc", "2"]])], ["A     B", "日本  1", "abc   2"]);
});

Deno.test("the last column is not padded, and no line ends in spaces", () => {
  assertEquals([...renderTable(["A", "B"], [["a", ""], ["b", "bbb"]])], ["A  B", "a", "b  bbb"]);
});

Deno.test("columns line up under what is written out", () => {
  assertEquals([...renderTable(["A", "B"], [["\x1b", "1"], ["\u202e", "2"]])], [
    "A       B",
    "\\x1b    1",
    "\\u202e  2",
  ]);
});

Deno.test("the name of another process cannot drive the terminal", () => {
  const owners = [{ pid: 4, fd: 3, comm: "\x1b[2Jevil\n\u202e" }];
  const [, line] = connectionTable([sampleListed({ owners })], parseColumns("process,local"), false);
  assertEquals(line, "4/\\x1b[2Jevil\\x0a\\u202e  10.0.0.7:51234");
});

Deno.test("the table has a header, and columns as wide as what is in them", () => {
  const connections = [sampleListed({ wqueue: 123_456_789 }), sampleListed({ state: "CLOSE-WAIT" })];
  assertEquals([...connectionTable(connections, parseColumns("state,send-q,remote"), false)], [
    "State       Send-Q     Remote",
    "ESTAB       123456789  10.0.0.5:443",
    "CLOSE-WAIT  0          10.0.0.5:443",
  ]);
  assertEquals([...connectionTable([], parseColumns("state,remote"), false)], ["State  Remote"]);
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
    const hostile = sampleResult("denied", `pid 7 (${name}): needs CAP_SYS_PTRACE`, {
      owners: [{ pid: 7, fd: 3, comm: name }],
      netnsName: name,
    });
    const lines = [...table([hostile]), ...table([hostile], true), forStream(reportLine(sampleReport([hostile])), 1)];
    for (const line of lines) assert(!UNPRINTABLE.test(line), JSON.stringify(line));
    assert(lines[1]?.includes("[31mb") && lines[4]?.includes("[31mb"), "what can be printed is");
  }
});
