// What tcphup says of its own failures, seen from outside.

import { assertEquals, assertMatch } from "@std/assert";

/** Runs tcphup in a process of its own. */
async function tcphup(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const cli = new URL("../../cli.ts", import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "--allow-ffi", cli, ...args] });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

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
