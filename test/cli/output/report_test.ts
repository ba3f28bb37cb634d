// The line that sums a report up.

import { assertEquals } from "@std/assert";
import { reportLine } from "../../../src/cli/output/report.ts";
import type { HangUpReport } from "../../../src/report/report.ts";
import { sampleOutcomes, sampleReport, sampleResult } from "../../harness/sample_report.ts";

function summaryOf(outcomes: readonly string[], given: Partial<HangUpReport> = {}): string {
  return reportLine(sampleReport(sampleOutcomes(...outcomes), given));
}

/** `text` so many times. */
function times(count: number, text: string): string[] {
  return new Array(count).fill(text);
}

Deno.test("nothing matched", () => {
  assertEquals(summaryOf([]), "no connections match");
  assertEquals(summaryOf([], { interrupted: true }), "interrupted: no connections matched");
});

Deno.test("all of it was done", () => {
  assertEquals(summaryOf(["hung-up"]), "hung up on 1 connection");
  assertEquals(summaryOf(times(3, "hung-up")), "hung up on 3 connections");
  assertEquals(summaryOf(times(2, "destroyed")), "destroyed 2 connections");
  assertEquals(summaryOf(times(2, "would-hang-up"), { dryRun: true }), "would act on 2 connections");
});

Deno.test("some of it was done, and the rest has reasons", () => {
  const denied = "denied: pid 812 (postgres): needs CAP_SYS_PTRACE";
  assertEquals(
    reportLine(sampleReport([
      ...sampleOutcomes(...times(10, "hung-up")),
      sampleResult("denied", "pid 812 (postgres): needs CAP_SYS_PTRACE"),
    ])),
    `hung up on 10 of 11 connections; 1 ${denied}`,
  );
  assertEquals(
    summaryOf(["hung-up", "destroyed", "skipped: mine"]),
    "hung up on 1 and destroyed 1 of 3 connections; 1 skipped: mine",
  );
  assertEquals(summaryOf(["no-owner: gone"]), "hung up on 0 of 1 connection; 1 no owner: gone");
  assertEquals(
    summaryOf(["would-hang-up", "no-owner: gone"], { dryRun: true }),
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

Deno.test("connections that have gone are counted where they were looked for", () => {
  assertEquals(summaryOf(["hung-up", "hung-up"], { gone: 2 }), "hung up on 2 connections; all gone");
  assertEquals(
    summaryOf(["hung-up", "skipped: mine"], { gone: 1 }),
    "hung up on 1 of 2 connections; 1 skipped: mine; all gone",
  );
  assertEquals(summaryOf(["hung-up", "hung-up"], { gone: 1 }), "hung up on 2 connections; 1 of 2 gone");
  assertEquals(summaryOf(["skipped: mine"], { gone: 0 }), "hung up on 0 of 1 connection; 1 skipped: mine");
});

Deno.test("attempts to connect are ended, not hung up on", () => {
  const attempts = Array.from({ length: 2 }, () => sampleResult("hung-up", null, { state: "SYN-SENT" }));
  const line = (...results: Parameters<typeof sampleReport>[0]) => reportLine(sampleReport(results));
  assertEquals(line(...attempts.slice(1)), "ended 1 connect attempt");
  assertEquals(line(...attempts, sampleResult("hung-up")), "hung up on 1 connection, ended 2 connect attempts");
  assertEquals(
    line(...attempts, sampleResult("denied", "why")),
    "hung up on 0 of 1 connection, ended 2 connect attempts; 1 denied: why",
  );
});

Deno.test("what is new and was left alone is counted apart", () => {
  assertEquals(summaryOf(["hung-up"], { recovered: 1 }), "hung up on 1 connection; 1 new one left alone");
  assertEquals(
    summaryOf(times(2, "hung-up"), { recovered: 2, gone: 2 }),
    "hung up on 2 connections; 2 new ones left alone; all gone",
  );
});

Deno.test("attempts to connect that were left to their next SYN are counted apart", () => {
  const left = { ...sampleResult("skipped", "left", { state: "SYN-SENT" }), reason: "connecting" } as const;
  const line = (...results: Parameters<typeof sampleReport>[0]) => reportLine(sampleReport(results));
  assertEquals(line(left), "1 connect attempt left to its next SYN");
  assertEquals(
    line(sampleResult("hung-up"), left, left, sampleResult("skipped", "mine")),
    "hung up on 1 of 2 connections; 1 skipped: mine; 2 connect attempts left to their next SYN",
  );
});
