// Flags whose values need care: one that may be left out, one that may begin with a minus.

import { assertEquals, assertThrows } from "@std/assert";
import { parseArguments } from "../../src/cli/arguments.ts";
import { UsageError } from "../../src/usage_error.ts";

Deno.test("--watch alone has a value, and does not take DEST for it", () => {
  const args = parseArguments(["ls", "--watch", "10.0.0.5", "443"]);
  assertEquals(args.duration("watch", "s"), 1000);
  assertEquals(args.positionals, ["10.0.0.5", "443"]);
});

Deno.test("--watch takes a value after an equals sign", () => {
  const watch = (flag: string) => parseArguments(["ls", flag, "any"]).duration("watch", "s");
  assertEquals(watch("--watch=5"), 5000);
  assertEquals(watch("--watch=500ms"), 500);
  assertEquals(watch("--watch=0.5"), 500);
  assertEquals(parseArguments(["ls", "any"]).duration("watch", "s"), undefined);
  assertThrows(() => watch("--watch=often"), UsageError, 'Not a time for --watch: "often"');
  assertThrows(() => watch("--watch="), UsageError, 'Option "--watch" needs a value');
});

Deno.test("the value of --sort may begin with a minus", () => {
  const sort = (...words: string[]) => parseArguments(["ls", ...words, "any"]);
  assertEquals(sort("--sort", "-idle").value("sort"), "-idle");
  assertEquals(sort("--sort", "-idle").positionals, ["any"]);
  assertEquals(sort("--sort=-idle").value("sort"), "-idle");
  assertEquals(sort("--sort", "idle").value("sort"), "idle");
  assertThrows(() => parseArguments(["ls", "any", "--sort"]), UsageError, 'Option "--sort" needs a value');
});

Deno.test("what follows -- is no flag", () => {
  assertEquals(parseArguments(["ls", "--", "--watch"]).positionals, ["--watch"]);
});

Deno.test("a flag is given with a value or without", () => {
  const args = parseArguments(["ls", "--summary", "--watch", "--columns", "state", "any"]);
  assertEquals(["summary", "watch", "columns", "sort", "json"].map((name) => args.given(name)), [
    true,
    true,
    true,
    false,
    false,
  ]);
});
