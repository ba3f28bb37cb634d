// Which word was meant by one that is mistyped.

import { assertEquals } from "@std/assert";
import { editDistance, expectedWord, nearest, suggestWord } from "../../src/model/closest.ts";

Deno.test("the distance counts letters that are inserted, left out, replaced and swapped", () => {
  const distances: [string, string, number][] = [
    ["", "", 0],
    ["", "ls", 2],
    ["ls", "ls", 0],
    ["lst", "ls", 1],
    ["l", "ls", 1],
    ["la", "ls", 1],
    ["sl", "ls", 1],
    ["doctro", "doctor", 1],
    ["keepaliev", "keepalive", 1],
    ["list", "ls", 2],
    ["kitten", "sitting", 3],
    ["hup", "plan", 4],
  ];
  for (const [a, b, distance] of distances) {
    assertEquals([editDistance(a, b), editDistance(b, a)], [distance, distance], `${a} ${b}`);
  }
});

Deno.test("near is one slip, or two from five letters on, whatever the case", () => {
  const words = ["hup", "ls", "keepalive", "doctor"];
  const near: [string, string | null][] = [
    ["hup", "hup"],
    ["HUP", "hup"],
    ["hpu", "hup"],
    ["hubb", null],
    ["keeplive", "keepalive"],
    ["kepalvie", "keepalive"],
    ["docto", "doctor"],
    ["dcotro", "doctor"],
    ["doc", null],
    ["", null],
    ["x".repeat(1_000_000), null],
  ];
  for (const [word, expected] of near) assertEquals(nearest(word, words), expected, word.slice(0, 20));
});

Deno.test("the only word that begins so is meant as well, and without one all are named", () => {
  const words = ["summary", "sort", "state"];
  const suggested = { sum: "summary", so: "sort", s: null, "": null, x: null };
  for (const [word, expected] of Object.entries(suggested)) assertEquals(suggestWord(word, words), expected, word);
  assertEquals(expectedWord("sumary", words), 'did you mean "summary"?');
  assertEquals(expectedWord("x", words), "expected summary, sort, state");
});
