// scripts/test.ts, which must not call a run green that is not.

import { assertEquals } from "@std/assert";
import { run } from "../harness/process.ts";

const SCRIPT = new URL("../../scripts/test.ts", import.meta.url).pathname;

/** Runs the script on one test file with this content; the exit code, and the last lines of its output. */
async function runTests(content: string, lines: number): Promise<{ code: number; last: string[] }> {
  const directory = await Deno.makeTempDir({ prefix: "tcphup-test-" });
  try {
    await Deno.writeTextFile(`${directory}/a_test.ts`, content);
    const command = [Deno.execPath(), "run", "-A", SCRIPT, `${directory}/a_test.ts`];
    const { code, stdout } = await run(command, { mayFail: true, env: { NO_COLOR: "1" } });
    return { code, last: stdout.trimEnd().split("\n").slice(-lines) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const PASSES = `Deno.test("passes", () => {});`;
const FAILS = `Deno.test("fails", () => { throw new Error("<failure>"); });`;
const SKIPPED = `Deno.test({ name: 'a "b" & <c> (needs d)', ignore: true, fn() {} });`;

Deno.test("the test script counts, and names what was skipped", async () => {
  assertEquals(await runTests(PASSES + SKIPPED, 3), {
    code: 0,
    last: ["Skipped:", '  a "b" & <c> (needs d)', "1 passed, 0 failed, 1 skipped"],
  });
});

Deno.test("the test script fails when a test does", async () => {
  assertEquals(await runTests(PASSES + FAILS, 1), { code: 1, last: ["1 passed, 1 failed, 0 skipped"] });
});

Deno.test("the test script fails when nothing was run", async () => {
  assertEquals(await runTests(SKIPPED, 2), { code: 1, last: ["no test was run", "0 passed, 0 failed, 1 skipped"] });
});

Deno.test("the test script fails when a file cannot be loaded", async () => {
  const { code } = await runTests(`${PASSES} throw new Error("no module");`, 1);
  assertEquals(code, 1);
});
