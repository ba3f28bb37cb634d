// Text on its way to a terminal: escapes, color marks, and its length.

import { assert, assertEquals } from "@std/assert";
import { escapeControls, forStream, shorten, style } from "../../../src/cli/output/terminal.ts";

Deno.test("control characters are escaped", () => {
  assertEquals(escapeControls("a\x07b\x9bc\u2028d"), "a\\x07b\\x9bc\\u2028d");
  assertEquals(escapeControls("a\u200e\u061cb\u2069"), "a\\u200e\\u061cb\\u2069");
  assertEquals(escapeControls("nginx: 日本 🦕"), "nginx: 日本 🦕");
});

Deno.test("a line for a stream has neither foreign escapes nor, where there is no terminal, colors", () => {
  assertEquals(forStream(`${style("bad", "denied\x1b[0m")}: 🦕\n`, 1), "denied\\x1b[0m: 🦕\\x0a");
});

Deno.test("a warning is shortened between characters: half of one would be a color mark", () => {
  for (const text of ["🐈".repeat(600), `a${"🐈".repeat(600)}`]) {
    const short = shorten(text);
    assert(short.length <= 1000 && short.includes(" … "), short);
    assertEquals(short, short.toWellFormed());
  }
  assertEquals(shorten("🐈".repeat(500)), "🐈".repeat(500));
});
