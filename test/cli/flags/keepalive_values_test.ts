import { assertEquals, assertThrows } from "@std/assert";
import { parseArguments } from "../../../src/cli/flags/arguments.ts";
import { FLAGS } from "../../../src/cli/flags/table.ts";
import { flagName, givenValues, noEffectWarnings } from "../../../src/cli/flags/keepalive_values.ts";
import { KEEPALIVE_FIELDS, KEEPALIVE_NAMES, SYSTEM_VALUES } from "../../../src/keepalive/values.ts";
import { UsageError } from "../../../src/model/errors.ts";

function given(...args: string[]) {
  return givenValues(parseArguments(["keepalive", "any", ...args]));
}

Deno.test("every value has a flag, whose help states its default and, where it is narrower than an int, its range", () => {
  for (const name of KEEPALIVE_NAMES) {
    const flag = FLAGS.find((flag) => flag.name === flagName(name));
    assertEquals(flag?.group, "Values", name);
    const { minimum, maximum, initial } = KEEPALIVE_FIELDS[name];
    if (initial !== 0) assertEquals(flag?.help.includes(`default ${initial}`), true, name);
    if (maximum < 2147483647) assertEquals(flag?.more?.includes(`${minimum} to ${maximum}`), true, name);
  }
});

Deno.test("what is given, and nothing else", () => {
  assertEquals(given(), undefined);
  assertEquals(given("--idle", "20", "--user-timeout", "auto"), { idleS: 20, userTimeoutMs: "auto" });
  assertEquals(given("--count=3", "--interval=0"), { count: 3, intervalS: 0 });
  const all = ["--syncnt", "3", "--maxseg", "1000", "--window-clamp", "4000", "--defer-accept", "5"];
  assertEquals(given(...all), { syncnt: 3, maxseg: 1000, windowClamp: 4000, deferAcceptS: 5 });
});

Deno.test("a value that cannot be read is quoted", () => {
  const wrong: [string, string, string][] = [
    ["--idle", "15w", 'Not a time for idle: "15w"'],
    ["--count", "-1", 'count "-1" is not a number: it takes a whole number of probes'],
    ["--user-timeout", "5", 'user-timeout "5" has no unit: expected 5ms or 5s'],
  ];
  for (const [flag, text, message] of wrong) assertThrows(() => given(flag, text), UsageError, message);
});

Deno.test("values that open connections do not feel", () => {
  const values = { ...SYSTEM_VALUES, syncnt: 3, maxseg: 1000, windowClamp: 4000, deferAcceptS: 5 };
  const all = noEffectWarnings(values, false);
  assertEquals(all.map((warning) => warning.split(" ")[0]), ["maxseg", "syncnt", "defer-accept"]);
  assertEquals(all[2], "defer-accept has no effect on open connections, only on listeners (--listeners)");
  assertEquals(noEffectWarnings(values, true).map((warning) => warning.split(" ")[0]), ["syncnt"]);
  assertEquals(noEffectWarnings(SYSTEM_VALUES, false), []);
});
