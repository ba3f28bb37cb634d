// The completions as texts: whole, and of nothing but what there is. The shells try them in ../system/completions_test.ts.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { COMPLETIONS } from "../../../src/cli/commands/completions.ts";
import { allOffers, operandsOf, valuedFlags } from "../../../src/cli/flags/completions/offers.ts";
import { COMMANDS } from "../../../src/cli/flags/flag.ts";
import { FLAGS } from "../../../src/cli/flags/table.ts";

for (const [shell, make] of Object.entries(COMPLETIONS)) {
  Deno.test(`completions for ${shell} name every command and every flag`, () => {
    const words = new Set(make().split(/[^A-Za-z0-9_-]+/));
    for (const command of COMMANDS) assert(words.has(command), command);
    const prefix = shell === "fish" ? "" : "--";
    for (const { name } of FLAGS) assert(words.has(prefix + name), name);
  });

  Deno.test(`completions for ${shell} are in ASCII and say how they were made`, () => {
    assert(/^[\n -~]*$/.test(make()));
    assertStringIncludes(make(), `made by "tcphup completions ${shell}"`);
  });
}

Deno.test("what is offered belongs to an operand or to a flag with a value", () => {
  const valued = FLAGS.filter(({ value }) => value !== undefined).map(({ name }) => `--${name}`);
  const named = allOffers().map(({ name }) => name);
  assertEquals(named.filter((name) => name.startsWith("--") && !valued.includes(name)), []);
  assertEquals(new Set(named).size, named.length);
});

Deno.test("operands are read from the usage", () => {
  const names = (command: Parameters<typeof operandsOf>[0]) => operandsOf(command).offers.map(({ name }) => name);
  assertEquals(names("hup"), ["DEST", "PORT"]);
  assertEquals(names("ls"), ["DEST", "PORT"]);
  assertEquals(names("keepalive"), ["DEST", "PORT"]);
  assertEquals(names("doctor"), []);
  assertEquals(operandsOf("completions").offers.map(({ words }) => words), [Object.keys(COMPLETIONS)]);
});

Deno.test("a flag that stands alone takes no word for its value", () => {
  assert(valuedFlags().includes("--linger"));
  assert(!valuedFlags().includes("--watch"));
  assert(!valuedFlags().includes("--json"));
});
