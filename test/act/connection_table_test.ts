// Eviction of connections that have gone: a long run only counts them.

import { assert, assertEquals } from "@std/assert";
import { identityOf } from "../../src/model/connection.ts";
import { type HangUpOutcome, type Target, targetOf } from "../../src/model/result.ts";
import { ConnectionTable } from "../../src/act/connection_table.ts";
import { sampleConnection } from "../harness/sample.ts";
import { sampleResult } from "../harness/sample_report.ts";

let cookies = 0;

function add(table: ConnectionTable, count: number, outcome: HangUpOutcome | null): Target[] {
  const result = outcome === null ? null : sampleResult(outcome);
  const targets = Array.from({ length: count }, () => {
    return { ...targetOf<HangUpOutcome>(sampleConnection({ cookie: `${++cookies}` })), result };
  });
  for (const target of targets) table.set(identityOf(target.connection), target);
  return targets;
}

Deno.test("of those that are gone the last thousand of each outcome are kept, and the others counted", () => {
  const table = new ConnectionTable();
  const cut = add(table, 1500, "hung-up");
  const skipped = add(table, 1100, "skipped");
  const withoutOutcome = add(table, 1200, null);
  table.evictGone(() => []);
  assertEquals([...table.evicted], [["skipped", 100], ["hung-up", 500]]);
  assertEquals([...table.values()], [...cut.slice(500), ...skipped.slice(100), ...withoutOutcome]);
  assertEquals([table.size, table.total], [3200, 3800]);
});

Deno.test("what is still there is kept, else it would be found anew", () => {
  const table = new ConnectionTable();
  const denied = add(table, 2500, "denied");
  // A list may miss one; the next has it.
  let lists = 0;
  table.evictGone((old) => [...old].slice(lists++ === 0 ? 1 : 0));
  assertEquals(table.size, 2500);
  table.evictGone(() => assert(false, "looked too often") as never);
  assertEquals([...table.values()], denied);
});

Deno.test("nobody looks before there are many", () => {
  const table = new ConnectionTable();
  add(table, 1999, "hung-up");
  table.evictGone(() => assert(false) as never);
  assertEquals(table.total, 1999);
});
