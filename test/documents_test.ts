// README.md and the documents that it leads to: what they promise of each other and of the project's files.

import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}

/** The versions of Deno that a text names, each once. */
function versionsIn(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, version]) => version))];
}

Deno.test("README.md, .ci/run and the workflows use the Deno that .ci/deno-version names", async () => {
  const version = (await read(".ci/deno-version")).trim();
  assertEquals(versionsIn(await read("README.md"), /\bdeno@([\d.]+)/g), [version]);
  assertEquals((await read(".ci/run")).includes(version), false);
  for (const workflow of ["check", "release"]) {
    const text = await read(`.github/workflows/${workflow}.yml`);
    assertEquals(versionsIn(text, /deno-version(?:-file)?: ([^$\s]+)/g), [".ci/deno-version"], workflow);
  }
});

Deno.test(".ci/run and the workflow try the same oldest Deno", async () => {
  const [, oldest] = /oldest_task='npx -y deno@([\d.]+) task'/.exec(await read(".ci/run"))!;
  assertEquals(versionsIn(await read(".github/workflows/check.yml"), /deno: \["([\d.]+)", "v2\.x"\]/g), [oldest]);
});
