// The counts of a report: every connection has one outcome, and is counted once.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Outcome, type Result, type Target, targetOf } from "../../src/model/result.ts";
import { countOutcomes, errorForReport, PhaseTimer } from "../../src/report/report.ts";
import { sampleOutcomes } from "../harness/sample_report.ts";

/** Every outcome, and what it is counted as. */
const COUNTED: Record<Outcome, string> = {
  "hung-up": "hungUp",
  "destroyed": "destroyed",
  "would-hang-up": "wouldAct",
  "would-destroy": "wouldAct",
  "keepalive-set": "keepaliveSet",
  "would-set-keepalive": "wouldAct",
  "unchanged": "unchanged",
  "already-gone": "alreadyGone",
  "skipped": "skipped",
  "no-owner": "failed",
  "denied": "failed",
  "unsupported": "failed",
  "lingering": "failed",
  "failed": "failed",
};

/** The counts that commands have of their own. */
const OWN = ["hungUp", "destroyed", "keepaliveSet", "unchanged"] as const;

const OUTCOMES = Object.keys(COUNTED) as Outcome[];

/** Fails unless the counts add up to the number of connections. */
function assertAddsUp(results: Result[]): void {
  const { matched, ...counts } = countOutcomes(results, OWN);
  assertEquals(matched, results.length);
  assertEquals(Object.values(counts).reduce((sum, count) => sum! + count!), matched);
}

Deno.test("each outcome is counted as one thing", () => {
  for (const outcome of OUTCOMES) {
    const { matched, ...counts } = countOutcomes(sampleOutcomes(outcome), OWN);
    assertEquals(matched, 1);
    assertEquals(Object.entries(counts).filter(([, count]) => count !== 0), [[COUNTED[outcome], 1]]);
  }
});

Deno.test("the counts add up to what was matched, whatever the mixture", () => {
  assertAddsUp([]);
  assertAddsUp(sampleOutcomes(...OUTCOMES));
  // Mixtures that differ in every share: the n-th outcome occurs n × i modulo 7 times.
  for (let i = 1; i < 50; i++) {
    assertAddsUp(sampleOutcomes(...OUTCOMES.flatMap((outcome, n) => new Array(((n + 1) * i) % 7).fill(outcome))));
  }
});

Deno.test("what would have been done is counted in a dry run, and not mentioned in any other", () => {
  assertEquals(countOutcomes(sampleOutcomes("would-hang-up", "would-destroy", "no-owner"), OWN).wouldAct, 2);
  assertEquals("wouldAct" in countOutcomes(sampleOutcomes("hung-up", "skipped"), OWN), false);
});

Deno.test("a command's own counts are there when they are 0, and no other command's", () => {
  const counts = countOutcomes(sampleOutcomes("hung-up"), ["hungUp", "destroyed"]);
  assertEquals(counts, { matched: 1, hungUp: 1, destroyed: 0, alreadyGone: 0, skipped: 0, failed: 0 });
});

Deno.test("the time of a phase is what was spent in it, also where that failed", async () => {
  const timer = new PhaseTimer();
  assertEquals(timer.time("select", () => 7), 7);
  try {
    timer.time("act", () => {
      for (const start = performance.now(); performance.now() - start < 2;);
      throw new Error("mine");
    });
  } catch (error) {
    assertEquals((error as Error).message, "mine");
  }
  assertEquals(await timer.timeAsync("wait", () => Promise.resolve(8)), 8);
  const { select, resolve, act, wait } = timer.phases;
  assert(act >= 2 && select >= 0 && wait >= 0);
  assertEquals(resolve, 0);
  assert(timer.elapsedMs >= Math.floor(act));
});

Deno.test("those that are left out of the report are counted too", () => {
  const evicted = new Map<Outcome, number>([["hung-up", 1000], ["denied", 3], ["lingering", 2]]);
  const counts = countOutcomes(sampleOutcomes("hung-up", "skipped"), ["hungUp", "destroyed"], evicted);
  assertEquals(counts, { matched: 1007, hungUp: 1001, destroyed: 0, alreadyGone: 0, skipped: 1, failed: 5 });
});

function targets(...outcomes: string[]): Target[] {
  return sampleOutcomes(...outcomes).map((result) => ({ ...targetOf(result.connection), result }));
}

Deno.test("what breaks is the caller's while nothing was touched, and then the report's", () => {
  const error = new Error("sock_diag dump: ENOBUFS");
  for (const outcome of ["hung-up", "destroyed", "lingering", "keepalive-set", "failed"]) {
    assertEquals(errorForReport(error, targets("skipped", outcome)), "sock_diag dump: ENOBUFS");
  }
  const untouched = targets("skipped", "already-gone", "denied", "no-owner", "would-hang-up", "unchanged");
  assertThrows(() => errorForReport(error, untouched), Error, "sock_diag dump: ENOBUFS");
});
