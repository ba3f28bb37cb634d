// The search for a command, beside a directory of files that may and may not be executed.

import { assertEquals, assertThrows } from "@std/assert";
import { CommandError } from "../../src/model/errors.ts";
import { findProgram } from "../../src/run/executable.ts";

function withFiles(test: (directory: string) => void): void {
  const directory = Deno.makeTempDirSync({ prefix: "tcphup-test-" });
  try {
    for (const part of ["first", "second", "second/tool-directory"]) Deno.mkdirSync(`${directory}/${part}`);
    const put = (path: string, mode: number) => Deno.writeTextFileSync(`${directory}/${path}`, "", { mode });
    put("first/tool", 0o644);
    put("second/tool", 0o755);
    put("first/text", 0o644);
    test(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function statusOf(name: string, path?: string): number {
  return assertThrows(() => findProgram(name, path), CommandError).status;
}

Deno.test("findProgram: the first executable file in PATH, past one that is not", () =>
  withFiles((directory) => {
    assertEquals(findProgram("tool", `${directory}/first:${directory}/second`), `${directory}/second/tool`);
    assertEquals(findProgram("tool", `${directory}/none:${directory}/second`), `${directory}/second/tool`);
  }));

Deno.test("findProgram: a name with a slash is a path", () =>
  withFiles((directory) => {
    assertEquals(findProgram(`${directory}/second/tool`, ""), `${directory}/second/tool`);
    assertEquals(statusOf(`${directory}/first/tool`), 126);
    assertEquals(statusOf(`${directory}/second`), 126, "a directory");
    assertEquals(statusOf(`${directory}/second/none`), 127);
    assertEquals(statusOf(`${directory}/second/tool/none`), 126, "a file where a directory should be");
  }));

Deno.test("findProgram: 127 where there is no such file, 126 where there is one", () =>
  withFiles((directory) => {
    const path = `${directory}/first:${directory}/second`;
    assertEquals(statusOf("none", path), 127);
    assertEquals(statusOf("text", path), 126);
    assertEquals(statusOf("tool-directory", path), 126);
    assertEquals(statusOf("none", ""), 127);
    assertEquals(statusOf("", path), 127);
  }));

Deno.test("findProgram: without PATH, where execvp(3) looks", () => {
  assertEquals(findProgram("sh"), "/bin/sh");
});
