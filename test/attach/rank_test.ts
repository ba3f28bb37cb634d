// Which of two selections is narrower.

import { assertEquals } from "@std/assert";
import { rankOf } from "../../src/attach/rank.ts";
import { compileSelection } from "../../src/select/compile_selection.ts";
import type { Selection } from "../../src/select/selection.ts";

Deno.test("ranks: the control group, the prefix of the peer, then anything else", () => {
  const rank = (selection: Selection, depth = 0, narrows = false) =>
    rankOf(compileSelection(selection).filter, depth, narrows);
  const ascending = [
    rank({ dst: "any" }),
    rank({ dst: "any", dport: 443 }),
    rank({ dst: "::/0" }),
    rank({ dst: "2001:db8::/32" }),
    rank({ dst: "10.0.0.0/8" }),
    rank({ dst: ["10.0.0.0/8", "10.9.9.9"], dport: 443 }),
    rank({ dst: "10.0.0.5" }),
    rank({ dst: "10.0.0.5", user: 5 }),
    rank({ dst: "any" }, 1),
    rank({ dst: "10.0.0.5", dport: 443 }, 1),
    rank({ dst: "any" }, 2),
  ];
  assertEquals(ascending, [...ascending].sort((a, b) => a - b));
  assertEquals(rank({ dst: "any" }), 0);
  assertEquals(rank({ dst: "any" }, 0, true), rank({ dst: "any", dport: 443 }));
  assertEquals(rank({ dst: "any", not: { dst: "10.0.0.5" } }), rank({ dst: "any", dport: 443 }));
  assertEquals(rank({ dst: "10.0.0.5", dport: 443 }, 1000) <= 0xffff, true);
});
