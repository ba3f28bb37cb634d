// README.md and the documents that it leads to: what they promise of each other and of the project's files.

import { assert, assertEquals, assertMatch } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}

/** The versions that a text names, each once. */
function versionsIn(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, version = ""]) => version))];
}

Deno.test("README.md, .ci/run and the workflows use the Deno that .ci/deno-version names", async () => {
  const version = (await read(".ci/deno-version")).trim();
  for (const document of ["README.md", ".github/CONTRIBUTING.md", ".github/RELEASING.md"]) {
    assertEquals(versionsIn(await read(document), /\bdeno@([\d.]+)/g), [version], document);
  }
  assertEquals((await read(".ci/run")).includes(version), false);
  for (const workflow of ["check", "release"]) {
    const text = await read(`.github/workflows/${workflow}.yml`);
    assertEquals(versionsIn(text, /deno-version(?:-file)?: ([^$\s]+)/g), [".ci/deno-version"], workflow);
  }
});

Deno.test(".ci/run and the workflow try the same oldest Deno", async () => {
  const [, oldest = ""] = /oldest_task='npx -y deno@([\d.]+) task'/.exec(await read(".ci/run"))!;
  assertEquals(versionsIn(await read(".github/workflows/check.yml"), /deno: \["([\d.]+)", "v2\.x"\]/g), [oldest]);
});

Deno.test("the documents name this version", async () => {
  const { version } = JSON.parse(await read("deno.json"));
  const named = /(?:\btcphup[-:]|--compare |\bv=)(\d+\.\d+\.\d+)/g;
  for (const document of ["README.md", ".github/RELEASING.md", ".github/SECURITY.md", "scripts/kubernetes/README.md"]) {
    assertEquals(versionsIn(await read(document), named), [version], document);
  }
});

const DOCUMENTS = [
  "README.md",
  ".github/ARCHITECTURE.md",
  ".github/CONTRIBUTING.md",
  ".github/JSON.md",
  ".github/RELEASING.md",
  ".github/SECURITY.md",
  "scripts/ansible/README.md",
  "scripts/bench/README.md",
  "scripts/kubernetes/README.md",
  "src/follow/README.md",
  "src/keepalive/README.md",
];

Deno.test("README.md is read to the end: it has at most 12 KB, and begins with the demonstration and the tests", async () => {
  const readme = await read("README.md");
  assert(new TextEncoder().encode(readme).length <= 12 * 1024);
  const [demonstration = "", tests = ""] = [...readme.matchAll(/^```\n(.*?)^```$/gms)].map(([, text]) => text);
  assertMatch(demonstration, /^npx -y deno@[\d.]+ run -A --no-config scripts\/demo\.ts\n$/);
  assertMatch(tests, /^npx -y deno@[\d.]+ run -A --no-config scripts\/test\.ts\n$/);
});

Deno.test("README.md names the oldest Deno that is tried", async () => {
  const [, oldest = ""] = /oldest_task='npx -y deno@([\d.]+) task'/.exec(await read(".ci/run"))!;
  assertMatch(await read("README.md"), new RegExp(`^\\*\\*Deno\\*\\* ≥ ${oldest.replaceAll(".", "\\.")},`, "m"));
});

for (const document of DOCUMENTS) {
  Deno.test(`${document}: each link leads to a file, and each task is one`, async () => {
    const text = await read(document);
    for (const [, target = ""] of text.matchAll(/\]\((?!https:)([^)#]+)\)/g)) {
      assert(await Deno.stat(new URL(target, new URL(document, ROOT))), target);
    }
    const { tasks } = JSON.parse(await read("deno.json"));
    for (const [, task = ""] of text.matchAll(/\bdeno task ([a-z]+(?::[a-z]+)?)/g)) assert(task in tasks, task);
  });
}
