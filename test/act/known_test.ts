// How connections are counted that a long run keeps no longer.

import { assert, assertEquals } from "@std/assert";
import { type Connection, identityOf, type Outcome } from "../../src/model/connection.ts";
import { Known } from "../../src/act/known.ts";
import { sampleConnection } from "../harness/sample.ts";

let cookies = 0;

function add(known: Known, count: number, outcome: Outcome | null): Connection[] {
  const connections = Array.from({ length: count }, () => sampleConnection({ cookie: `${++cookies}`, outcome }));
  for (const connection of connections) known.set(identityOf(connection), connection);
  return connections;
}

Deno.test("of those that are gone the last thousand of each outcome are kept, and the others counted", () => {
  const known = new Known();
  const cut = add(known, 1500, "hung-up");
  const skipped = add(known, 1100, "skipped");
  const unsettled = add(known, 1200, null);
  known.shorten(() => []);
  assertEquals([...known.leftOut], [["skipped", 100], ["hung-up", 500]]);
  assertEquals([...known.values()], [...cut.slice(500), ...skipped.slice(100), ...unsettled]);
  assertEquals([known.size, known.total], [3200, 3800]);
});

Deno.test("what is still there is kept, else it would be found anew", () => {
  const known = new Known();
  const denied = add(known, 2500, "denied");
  // A list may miss one; the next has it.
  let lists = 0;
  known.shorten((old) => [...old].slice(lists++ === 0 ? 1 : 0));
  assertEquals(known.size, 2500);
  known.shorten(() => assert(false, "looked too often") as never);
  assertEquals([...known.values()], denied);
});

Deno.test("nobody looks before there are many", () => {
  const known = new Known();
  add(known, 1999, "hung-up");
  known.shorten(() => assert(false) as never);
  assertEquals(known.total, 1999);
});
