// The messages of tcphup about its own failures, seen from outside.

import { assertEquals, assertMatch } from "@std/assert";
import { type Output, run } from "../harness/process.ts";

/** Runs tcphup in a process of its own, which is allowed only so much. */
async function tcphupWith(permissions: string[], ...args: string[]): Promise<Output> {
  const cli = new URL("../../cli.ts", import.meta.url).pathname;
  return await run([Deno.execPath(), "run", "--no-prompt", ...permissions, cli, ...args], { mayFail: true });
}

function tcphup(...args: string[]) {
  return tcphupWith(["--allow-ffi"], ...args);
}

Deno.test("without the permission that it needs it says which, and that is all", async () => {
  const stderr = "tcphup: glibc may not be called: run it with --allow-ffi, without a path\n";
  for (const permissions of [[], ["--allow-ffi=libc.so.6"], ["--allow-ffi=/lib"]]) {
    assertEquals(await tcphupWith(permissions, "ls", "192.0.2.1"), { code: 4, stdout: "", stderr });
  }
});

Deno.test("what is quoted in a message does not drive the terminal", async () => {
  const { code, stdout, stderr } = await tcphup("\x1b[31m\x07\u009b2J");
  assertEquals({ code, stdout }, { code: 2, stdout: "" });
  assertMatch(stderr, /^tcphup: .*"\\x1b\[31m\\x07\\x9b2J".*\n$/);
});

Deno.test("a filter that does not parse keeps its caret on a line of its own", async () => {
  const { code, stderr } = await tcphup("ls", "-f", "dst 10.0.0.0/8 nad dport = :443");
  assertEquals(code, 2);
  const caret = stderr.split("\n").find((line) => /^\s*\^/.test(line));
  assertEquals(caret?.trim()[0], "^");
});
