// Patterns as a shell has them.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { glob, isGlob } from "../../src/model/glob.ts";
import { UsageError } from "../../src/model/errors.ts";

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

/** Returns the processor time of this thread, in milliseconds, which a busy machine does not lengthen. */
function processorMs(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;
}

Deno.test("many stars take no more time than few", () => {
  const start = processorMs();
  const cases: [pattern: string, text: string, fits: boolean][] = [
    ["*a*a*a*a*b", "a".repeat(200), false],
    ["**a**a**a**a**b", "a".repeat(4000), false],
    ["*".repeat(1000), "a".repeat(200), true],
    ["*a*".repeat(300) + "b", "a".repeat(2000) + "b", true],
    ["[".repeat(20_000), "[".repeat(20), false],
  ];
  for (const [pattern, text, fits] of cases) assertEquals(glob(pattern)(text), fits, pattern.slice(0, 20));
  // A regular expression takes half a minute for the first one.
  assert(processorMs() - start < 5000);
});

Deno.test("a pattern is told from a name", () => {
  const patterns = ["nginx*", "n?x", "[n]ginx"];
  assertEquals(["nginx", "a-b.c", "\\x2d", ...patterns].filter(isGlob), patterns);
});

Deno.test("a range backwards is refused, with the pattern", () => {
  const { message } = assertThrows(() => glob("x[z-a]"), UsageError);
  assertEquals(message, 'Not a pattern: "x[z-a]": expected a range such as [a-z], the lesser character first');
});
