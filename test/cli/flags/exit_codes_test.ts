// The exit code says what became of the connections. Playbooks rely on the numbers.

import { assertEquals } from "@std/assert";
import { DONE, exitCode, FAILED, INTERRUPTED, REFUSED, UNABLE, USAGE } from "../../../src/cli/flags/exit_codes.ts";
import type { HangUpReport } from "../../../src/report/report.ts";
import { sampleOutcomes, sampleReport } from "../../harness/sample_report.ts";

function codeOf(outcomes: readonly string[], given: Partial<HangUpReport> = {}): number {
  return exitCode(sampleReport(sampleOutcomes(...outcomes), given));
}

Deno.test("the numbers are those of the manual", () => {
  assertEquals({ DONE, FAILED, USAGE, REFUSED, UNABLE, INTERRUPTED }, {
    DONE: 0,
    FAILED: 1,
    USAGE: 2,
    REFUSED: 3,
    UNABLE: 4,
    INTERRUPTED: 130,
  });
});

Deno.test("0: all that matched was done, or nothing matched", () => {
  for (
    const outcomes of [
      [],
      ["hung-up"],
      ["destroyed", "hung-up"],
      ["already-gone"],
      ["would-hang-up", "would-destroy"],
      // What was spared on purpose is no failure beside what was done.
      ["hung-up", "skipped"],
      ["already-gone", "skipped"],
    ]
  ) assertEquals(codeOf(outcomes), DONE, outcomes.join());
});

Deno.test("1: some of it failed", () => {
  for (const failure of ["no-owner", "denied", "unsupported", "lingering", "failed"]) {
    assertEquals(codeOf(["hung-up", failure]), FAILED, failure);
    assertEquals(codeOf(["already-gone", failure]), FAILED, failure);
    assertEquals(codeOf(["would-hang-up", failure]), FAILED, failure);
  }
  for (const failure of ["no-owner", "lingering", "failed"]) assertEquals(codeOf([failure]), FAILED, failure);
});

Deno.test("1: it ended early, or may have missed something, whatever was done", () => {
  for (const outcomes of [[], ["hung-up"], ["skipped"]]) {
    assertEquals(codeOf(outcomes, { error: "out of memory" }), FAILED);
    assertEquals(codeOf(outcomes, { incomplete: ["2 namespaces may not be entered"] }), FAILED);
    assertEquals(codeOf(outcomes, { maxReached: true }), FAILED);
  }
});

Deno.test("3: a guard spared everything that matched", () => {
  assertEquals(codeOf(["skipped"]), REFUSED);
  assertEquals(codeOf(["skipped", "skipped"], { refused: "2 match, more than --max 1" }), REFUSED);
});

Deno.test("0: clients that arrive without help are left alone by no guard", () => {
  const skipped = (reason: "session" | "connecting" | "recovered" | "not-selected") =>
    ({ ...sampleOutcomes("skipped")[0]!, outcome: "skipped", reason, message: "why" }) as const;
  assertEquals(exitCode(sampleReport([skipped("connecting"), skipped("recovered"), skipped("not-selected")])), DONE);
  assertEquals(exitCode(sampleReport([skipped("connecting"), skipped("session")])), REFUSED);
});

Deno.test("4: nothing could be done, and only because this host or user cannot", () => {
  assertEquals(codeOf(["denied"]), UNABLE);
  assertEquals(codeOf(["denied", "unsupported"]), UNABLE);
  assertEquals(codeOf(["denied", "skipped"]), UNABLE);
  assertEquals(codeOf(["denied", "failed"]), FAILED);
  assertEquals(codeOf(["denied", "no-owner"]), FAILED);
});

Deno.test("130: interrupted, whatever else", () => {
  for (const outcomes of [[], ["hung-up"], ["denied"], ["skipped"]]) {
    assertEquals(codeOf(outcomes, { interrupted: true }), INTERRUPTED);
  }
});
