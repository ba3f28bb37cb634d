// Patterns as a shell has them.

import { assertEquals, assertThrows } from "@std/assert";
import { glob, isGlob } from "../../src/owners/glob.ts";
import { UsageError } from "../../src/usage_error.ts";

/** Each pattern, what it fits and what not. */
const PATTERNS: Record<string, { fits: string[]; fitsNot: string[] }> = {
  "nginx": { fits: ["nginx"], fitsNot: ["nginx2", "anginx", "NGINX", ""] },
  "ng*": { fits: ["ng", "nginx", "ng\nx"], fitsNot: ["n", "ng/x"] },
  "*": { fits: ["", "x", "😀"], fitsNot: ["/", "a/b"] },
  "**": { fits: ["", "a/b", "\n"], fitsNot: [] },
  "/usr/**/x": { fits: ["/usr/a/x", "/usr/a/b/x"], fitsNot: ["/usr/x", "usr/a/x"] },
  "?": { fits: ["x", "😀", "."], fitsNot: ["", "xx", "/"] },
  "[abc]": { fits: ["a", "c"], fitsNot: ["d", "[abc]"] },
  "[a-c]x": { fits: ["bx"], fitsNot: ["dx", "-x"] },
  "[!a-c]": { fits: ["d", "!", "^"], fitsNot: ["a", "/", ""] },
  "[]x]": { fits: ["]", "x"], fitsNot: ["[]x]"] },
  "[!]]": { fits: ["x"], fitsNot: ["]"] },
  "[*]": { fits: ["*"], fitsNot: ["x"] },
  "[[]1]": { fits: ["[1]"], fitsNot: ["1"] },
  "[^x]": { fits: ["^", "x"], fitsNot: ["y"] },
  "[a": { fits: ["[a"], fitsNot: ["a"] },
  "a.c+(x)|$^{2}": { fits: ["a.c+(x)|$^{2}"], fitsNot: ["abc+(x)|$^{2}", "a.cc"] },
  "dev\\x2dsda": { fits: ["dev\\x2dsda"], fitsNot: ["dev-sda", "devx2dsda"] },
};

Deno.test("a pattern fits what a shell's would", () => {
  for (const [pattern, { fits, fitsNot }] of Object.entries(PATTERNS)) {
    const matches = glob(pattern);
    assertEquals(fits.filter((text) => !matches(text)), [], `${pattern} should fit`);
    assertEquals(fitsNot.filter(matches), [], `${pattern} should not fit`);
  }
});

Deno.test("a pattern is told from a name", () => {
  assertEquals(["nginx", "a-b.c", "\\x2d", "nginx*", "n?x", "[n]ginx"].map(isGlob), [
    false,
    false,
    false,
    true,
    true,
    true,
  ]);
});

Deno.test("a range backwards is refused, with the pattern", () => {
  const { message } = assertThrows(() => glob("x[z-a]"), UsageError);
  assertEquals(message, 'Not a pattern: "x[z-a]": expected a range such as [a-z], the lesser character first');
});
