// JSON in pieces comes to the same as JSON in one.

import { assertEquals } from "@std/assert";
import { jsonDocument, jsonLines } from "../../src/cli/json.ts";

const ITEMS = [{ a: 1, text: "line\nline" }, { a: 2 }];

Deno.test("a document is its head, and its items under their key", () => {
  for (const items of [ITEMS, ITEMS.slice(0, 1), []]) {
    const text = [...jsonDocument({ schema: 1, matched: items.length }, "connections", items)].join("");
    assertEquals(text, JSON.stringify({ schema: 1, matched: items.length, connections: items }) + "\n");
  }
});

Deno.test("lines are an object each, with what is common first", () => {
  assertEquals([...jsonLines(ITEMS)], ITEMS.map((item) => JSON.stringify(item) + "\n"));
  assertEquals([...jsonLines(ITEMS.slice(1), { time: "now" })], ['{"time":"now","a":2}\n']);
  assertEquals([...jsonLines([])], []);
});
