import { assertEquals } from "@std/assert";
import { eastAsianWidth } from "get-east-asian-width";
import { displayWidth, truncate } from "../../../src/cli/output/width.ts";

Deno.test("the width of a text is in columns of the terminal", () => {
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

Deno.test("a text that does not fit is truncated, with an ellipsis", () => {
  assertEquals(truncate("ESTAB", 5), "ESTAB");
  assertEquals(truncate("ESTAB", 4), "EST…");
  assertEquals(truncate("ESTAB", 1), "…");
  assertEquals(truncate("日本語", 6), "日本語");
  assertEquals(truncate("日本語", 5), "日本…");
  assertEquals(truncate("日本語", 4), "日…");
});
