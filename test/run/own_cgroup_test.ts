// Where a command may have a control group of its own: files as the kernel has them, in a directory.

import { assertThrows } from "@std/assert";
import { UnsupportedError } from "../../src/model/errors.ts";
import { requireSameConditions } from "../../src/run/own_cgroup.ts";
import { Directory } from "../harness/directory.ts";

async function withFiles(files: Record<string, string>, use: (directory: string) => void): Promise<void> {
  using directory = new Directory();
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${directory.path}/${name}`, text);
  use(directory.path);
}

/** A unit of systemd's without limits of its own. */
const UNLIMITED = {
  "cgroup.subtree_control": "\n",
  "memory.max": "max\n",
  "memory.high": "max\n",
  "memory.swap.max": "max\n",
  "cpu.max": "max 100000\n",
  "pids.max": "14438\n",
};

Deno.test("a control group without limits, and one without controllers", async () => {
  for (const files of [UNLIMITED, { "cgroup.subtree_control": "\n" }]) {
    await withFiles(files, (directory) => requireSameConditions({ path: "/unit", directory }));
  }
});

for (
  const [file, text, expected] of [
    ["memory.max", "1073741824\n", "programs look for memory.max in their own control group, and it is set in /unit"],
    ["memory.high", "1073741824\n", "programs look for memory.high in"],
    ["memory.swap.max", "0\n", "programs look for memory.swap.max in"],
    ["cpu.max", "200000 100000\n", "programs look for cpu.max in"],
    [
      "cgroup.subtree_control",
      "cpu memory\n",
      "the control group /unit gives inner ones shares of their own: cpu memory",
    ],
  ] as const
) {
  Deno.test(`${file} of ${text.trim()}: a supervisor serves`, async () => {
    await withFiles({ ...UNLIMITED, [file]: text }, (directory) => {
      assertThrows(() => requireSameConditions({ path: "/unit", directory }), UnsupportedError, expected);
    });
  });
}
