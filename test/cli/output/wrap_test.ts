// Prose and lists in lines of a width.

import { assertEquals } from "@std/assert";
import { reflow, wrap, wrapItem } from "../../../src/cli/output/wrap.ts";

Deno.test("text is broken between words, and a word never", () => {
  assertEquals(wrap("one two three", 7), ["one two", "three"]);
  assertEquals(wrap("a longerthanthat b", 5), ["a", "longerthanthat", "b"]);
  assertEquals(wrap("", 5), [""]);
});

Deno.test("an item's text stands beside its name, or below where that leaves too little", () => {
  assertEquals(wrapItem("  --name  ", "some text that goes on", 34), ["  --name  some text that goes on"]);
  assertEquals(wrapItem("  --name  ", "some text that goes on and on", 36), [
    "  --name  some text that goes on and",
    "          on",
  ]);
  assertEquals(wrapItem("  --name  ", "some text that goes on", 20), [
    "  --name",
    "          some text",
    "          that goes",
    "          on",
  ]);
});

Deno.test("paragraphs and lists are broken anew, and stay what they are", () => {
  const text = `A paragraph of
two lines.

DEST  one item, which
      goes on
PORT  another
List:
  name  text`;
  assertEquals(reflow(text, 80), [
    "A paragraph of two lines.",
    "",
    "DEST  one item, which goes on",
    "PORT  another",
    "List:",
    "  name  text",
  ]);
  assertEquals(reflow(text, 30)[2], "DEST  one item, which goes on");
  assertEquals(reflow("one two three four\nfive six", 24), ["one two three four five", "six"]);
});
