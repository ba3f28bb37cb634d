// scripts/test.ts, which must not call a run green that is not.

import { assertEquals } from "@std/assert";
import { Directory } from "../harness/directory.ts";
import { run } from "../harness/process.ts";

const SCRIPT = new URL("../../scripts/test.ts", import.meta.url).pathname;

/** Runs the script on one test file with this content; the exit code, and the lines that it prints, without times. */
async function runTests(content: string, args: readonly string[] = []): Promise<{ code: number; lines: string[] }> {
  using directory = new Directory();
  await Deno.writeTextFile(`${directory.path}/a_test.ts`, content);
  const command = [Deno.execPath(), "run", "-A", SCRIPT, "a_test.ts", ...args];
  const { code, stdout } = await run(command, { cwd: directory.path, mayFail: true, env: { NO_COLOR: "1" } });
  return { code, lines: stdout.trimEnd().split("\n").map((line) => line.replace(/ \(\d.*\)$/, "")) };
}

const PASSES = `Deno.test("passes", () => {});`;
const FAILS = `Deno.test("fails", () => { throw new Error("<failure>"); });`;
const SKIPPED = `Deno.test({ name: 'a "b" & <c> (needs d, tmux)', ignore: true, fn() {} });
Deno.test({ name: "e (needs d)", ignore: true, fn() {} });`;

Deno.test("the test script counts, and says once for what tests were skipped", async () => {
  assertEquals(await runTests(PASSES + SKIPPED), {
    code: 0,
    lines: [
      "./a_test.ts => passes ... ok",
      "",
      "",
      "Skipped, for what was missing:",
      "  2 d",
      "  1 tmux *",
      "* sudo .ci/install installs it",
      "1 passed, 0 failed, 2 skipped",
    ],
  });
});

Deno.test("the test script does not call skipped what was left out", async () => {
  const { lines } = await runTests(PASSES + FAILS + SKIPPED, ["--filter", "passes"]);
  assertEquals(lines.at(-1), "1 passed, 0 failed, 0 skipped");
});

Deno.test("the test script shows a failure once", async () => {
  const { lines } = await runTests(PASSES + FAILS);
  assertEquals(lines.filter((line) => line.startsWith("error: ")), ["error: Error: <failure>"]);
  assertEquals(lines.filter((line) => /^fails/.test(line)).length, 1);
});

Deno.test("the test script fails when a test does", async () => {
  const { code, lines } = await runTests(PASSES + FAILS);
  assertEquals([code, lines.at(-1)], [1, "1 passed, 1 failed, 0 skipped"]);
});

Deno.test("the test script fails when nothing was run", async () => {
  const { code, lines } = await runTests(SKIPPED);
  assertEquals([code, ...lines.slice(-2)], [1, "no test was run", "0 passed, 0 failed, 2 skipped"]);
});

Deno.test("the test script fails when a file cannot be loaded", async () => {
  const { code } = await runTests(`${PASSES} throw new Error("no module");`);
  assertEquals(code, 1);
});
