// The matcher, the bytecode and the queries against the meaning of thousands of random filters.

import { assert, assertEquals } from "@std/assert";
import { compileBytecode } from "../../src/select/bytecode.ts";
import type { Filter } from "../../src/select/filter.ts";
import { compileMatcher } from "../../src/select/matcher.ts";
import { familiesOf, planDumps, statesOf } from "../../src/select/dump_plan.ts";
import { audit, run } from "./kernel.ts";
import { meaning } from "./meaning.ts";
import { Random, randomFilter, randomSocket } from "./random.ts";
import { rowOf, type Socket } from "./row.ts";

const DECIDABLE = ["address", "port", "interface", "mark", "cgroup"] as const;
const CONDITIONS = [...DECIDABLE, "uid", "state", "autobound", "idle", "silent", "stalled", "transparent"] as const;

/** Like assertEquals, but describes the case only when it has failed: there are many. */
function assertSame<T>(actual: T, expected: T, filter: Filter, socket: Socket): void {
  if (actual === expected) return;
  assertEquals(
    actual,
    expected,
    JSON.stringify({ filter, socket }, (_, value) => typeof value === "bigint" ? `${value}n` : value),
  );
}

/** Calls `check` with random filters, each with random sockets. */
function forMany(
  seed: number,
  conditions: readonly Filter["op"][],
  check: (filter: Filter, sockets: readonly Socket[]) => void,
): void {
  const random = new Random(seed);
  const sockets = Array.from({ length: 400 }, () => randomSocket(random));
  for (let i = 0; i < 3000; i++) {
    check(randomFilter(random, conditions), Array.from({ length: 20 }, () => random.one(sockets)));
  }
}

const MATCHED = [
  ["TCP sockets", "tcp", 1, CONDITIONS],
  // The kernel says other things of those.
  ["MPTCP connections", "mptcp", 6, ["idle", "silent", "stalled", "port"]],
] as const;

for (const [what, protocol, seed, conditions] of MATCHED) {
  Deno.test(`the matcher of ${what} matches what is known to be meant`, () => {
    let matched = 0;
    forMany(seed, conditions, (filter, sockets) => {
      const matches = compileMatcher(filter, protocol);
      for (const socket of sockets) {
        const expected = meaning(filter, socket, false, protocol) === true;
        assertSame(matches(rowOf(socket, protocol)), expected, filter, socket);
        if (expected) matched++;
      }
    });
    assert(matched > 10_000 && matched < 50_000, `${matched} of 60000 matched: the test does not tell much`);
  });
}

Deno.test("the kernel takes the bytecode, which accepts what the matcher matches", () => {
  let rejected = 0;
  forMany(2, CONDITIONS, (filter, sockets) => {
    const code = compileBytecode(filter);
    if (code === null) return;
    assertSame(audit(code), null, filter, sockets[0]!);
    const matches = compileMatcher(filter);
    for (const socket of sockets) {
      if (run(code, socket)) continue;
      rejected++;
      assertSame(matches(rowOf(socket)), false, filter, socket);
    }
  });
  assert(rejected > 10_000, `only ${rejected} of 60000 rejected: the test does not tell much`);
});

Deno.test("the bytecode accepts no more than is meant where the kernel can decide", () => {
  let accepts = 0;
  forMany(3, DECIDABLE, (filter, sockets) => {
    const code = compileBytecode(filter);
    for (const socket of sockets.filter(({ mark, cgroup }) => mark !== null && cgroup !== null)) {
      const accepted = code === null || run(code, socket);
      assertSame(accepted, meaning(filter, socket, true), filter, socket);
      if (accepted) accepts++;
    }
  });
  assert(accepts > 5000 && accepts < 50_000, `${accepts} of 60000 accepted: the test does not tell much`);
});

Deno.test("the queries find each socket that is meant once, with autobound, and with their fallbacks too", () => {
  forMany(4, CONDITIONS, (filter, sockets) => {
    const all = planDumps(filter);
    for (const which of ["bytecode", "fallback"] as const) {
      for (const socket of sockets) {
        const found = all.filter((query) => {
          const code = query[which];
          return query.families.includes(socket.family) && query.states & 1 << socket.state &&
            (code === null || run(code, socket)) && query.matches(rowOf(socket));
        });
        assertSame(found.length, meaning(filter, socket, true) === true ? 1 : 0, filter, socket);
      }
    }
  });
});

Deno.test("what matches is in a family and in a state that was asked for", () => {
  let matched = 0;
  forMany(5, CONDITIONS, (filter, sockets) => {
    for (const socket of sockets.filter((socket) => meaning(filter, socket, true) === true)) {
      assertSame(familiesOf(filter).includes(socket.family), true, filter, socket);
      assertSame((statesOf(filter) & 1 << socket.state) !== 0, true, filter, socket);
      matched++;
    }
  });
  assert(matched > 10_000, `only ${matched} of 60000 matched: the test does not tell much`);
});
