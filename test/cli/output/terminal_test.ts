// Text on a terminal: its width, its columns, its end.

import { assert, assertEquals } from "@std/assert";
import { eastAsianWidth } from "get-east-asian-width";
import { renderTable } from "../../../src/cli/output/tables.ts";
import { escapeControls, forStream, shorten, style } from "../../../src/cli/output/terminal.ts";
import { displayWidth, truncate } from "../../../src/cli/output/width.ts";

Deno.test("a text is as wide as the places that it takes", () => {
  assertEquals(displayWidth("ESTAB"), 5);
  assertEquals(displayWidth("日本"), 4);
  assertEquals(displayWidth("é"), 1);
  assertEquals(displayWidth("e\u0301"), 1);
  assertEquals(displayWidth("🦕"), 2);
  assertEquals(displayWidth(""), 0);
  assertEquals(displayWidth("\u1112\u1161\u11ab"), 2, "한 in its letters");
  assertEquals(displayWidth("\u{1f1eb}\u{1f1ee}"), 2, "a flag");
});

Deno.test("a character that is not combined with another is as wide as Unicode says", () => {
  const wrong: string[] = [];
  for (let point = 0xa0; point <= 0x10ffff; point++) {
    const character = String.fromCodePoint(point);
    const width = displayWidth(character);
    // The engine's Unicode may be older than the package's: what it has not assigned yet, it cannot know as an emoji.
    if (width === 0 || width === eastAsianWidth(point) || /\p{Cn}/u.test(character)) continue;
    wrong.push(`U+${point.toString(16)}: ${width}`);
  }
  assertEquals(wrong, []);
});

Deno.test("columns line up under wide characters", () => {
  assertEquals([...renderTable(["A", "B"], [["日本", "1"], ["abc", "2"]])], ["A     B", "日本  1", "abc   2"]);
});

Deno.test("the last column is not padded, and no line ends in spaces", () => {
  assertEquals([...renderTable(["A", "B"], [["a", ""], ["b", "bbb"]])], ["A  B", "a", "b  bbb"]);
});

Deno.test("a text is cut where it does not fit, with a sign of it", () => {
  assertEquals(truncate("ESTAB", 5), "ESTAB");
  assertEquals(truncate("ESTAB", 4), "EST…");
  assertEquals(truncate("ESTAB", 1), "…");
  assertEquals(truncate("日本語", 6), "日本語");
  assertEquals(truncate("日本語", 5), "日本…");
  assertEquals(truncate("日本語", 4), "日…");
});

Deno.test("control characters are written out", () => {
  assertEquals(escapeControls("a\x07b\x9bc\u2028d"), "a\\x07b\\x9bc\\u2028d");
  assertEquals(escapeControls("a\u200e\u061cb\u2069"), "a\\u200e\\u061cb\\u2069");
  assertEquals(escapeControls("nginx: 日本 🦕"), "nginx: 日本 🦕");
});

Deno.test("columns line up under what is written out", () => {
  assertEquals([...renderTable(["A", "B"], [["\x1b", "1"], ["\u202e", "2"]])], [
    "A       B",
    "\\x1b    1",
    "\\u202e  2",
  ]);
});

Deno.test("a line that leaves has neither foreign escapes nor, where there is no terminal, colors", () => {
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
