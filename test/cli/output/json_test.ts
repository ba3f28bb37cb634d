// JSON in pieces comes to the same as JSON in one.

import { assert, assertEquals } from "@std/assert";
import { jsonDocument, jsonLines, jsonText } from "../../../src/cli/output/json.ts";

const ITEMS = [{ a: 1, text: "line\nline" }, { a: 2 }];

Deno.test("a document is its head, and its items under their key", () => {
  for (const items of [ITEMS, ITEMS.slice(0, 1), []]) {
    const text = [...jsonDocument({ schema: 1, matched: items.length }, "connections", items)].join("");
    assertEquals(text, JSON.stringify({ schema: 1, matched: items.length, connections: items }) + "\n");
  }
});

Deno.test("nothing in JSON drives a terminal or turns text around, and it still says the same", () => {
  for (let code = 0; code < 0x3000; code++) {
    const value = { name: `a${String.fromCharCode(code)}b` };
    const text = jsonText(value);
    assertEquals(JSON.parse(text), value);
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x1f\x7f-\x9f]|\p{Bidi_Control}|\p{Zl}|\p{Zp}/u.test(text), text);
  }
  assertEquals(jsonText({ name: "日本 🦕" }), '{"name":"日本 🦕"}');
});

Deno.test("lines are an object each, with what is common first", () => {
  assertEquals([...jsonLines(ITEMS)], ITEMS.map((item) => JSON.stringify(item) + "\n"));
  assertEquals([...jsonLines(ITEMS.slice(1), { time: "now" })], ['{"time":"now","a":2}\n']);
  assertEquals([...jsonLines([])], []);
});
