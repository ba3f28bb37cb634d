// The ways to install and to use tcphup that README.md shows: each block is run as it stands, or something here runs the
// same for a reason.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { inDirectory } from "../harness/directory.ts";
import { run } from "../harness/process.ts";
import { assertNoStackTrace } from "../harness/scene.ts";
import { hostTest } from "../harness/system.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const README = await Deno.readTextFile(`${ROOT}README.md`);

/** The block below each way's name. */
const BLOCKS = new Map(
  [...README.matchAll(/^\*\*(.*?)\*\*.*?^```\w*\n(.*?)^```$/gms)].map(([, way, text]) => [way, text] as const),
);

/** Where a block cannot be followed on any machine: what it would take, and who does the same here. */
const ELSEWHERE: Record<string, string> = {
  Binary: "dl.deno.land and another host; .ci/run compiles with npm's runtime, binary_test.ts copies the file",
  npm: "jsr.io; npm_test.ts makes the package without dnt, installs it and uses it",
  Ansible: "hosts; ansible_test.ts runs this playbook on namespaces",
  Kubernetes: "a cluster; kubernetes_test.ts applies it to one in small, container_test.ts runs the image as it says",
  systemd: "a host's systemd; systemd_test.ts verifies the unit",
};

Deno.test("each way that README.md shows is tried", () => {
  assertEquals([...BLOCKS.keys()].sort(), [...Object.keys(ELSEWHERE), "Deno", "Library"].sort());
});

hostTest("install: with Deno", [], async () => {
  await inDirectory(async (directory) => {
    // `deno` is the one that runs the tests.
    await Deno.symlink(Deno.execPath(), `${directory}/deno`);
    const env = { PATH: `${directory}:${Deno.env.get("PATH")}` };
    const { stdout } = await run(["sh", "-euc", BLOCKS.get("Deno")!], { env, cwd: ROOT });
    assertMatch(stdout, /^ok +shutdown: hang up: works$/m);
  });
});

hostTest("install: as a library", [], async () => {
  await inDirectory(async (directory) => {
    const imports = { "@tcphup/tcphup": `${ROOT}mod.ts` };
    await Deno.writeTextFile(`${directory}/deno.json`, JSON.stringify({ imports }));
    await Deno.writeTextFile(`${directory}/use.ts`, BLOCKS.get("Library")!);
    const { stdout } = await run([Deno.execPath(), "run", "--check", "--allow-ffi", "use.ts"], { cwd: directory });
    assertEquals(stdout, "0 of 0 []\n");
  });
});

Deno.test("compile: a runtime that is none, and an unknown target, are said to be that", async () => {
  const wrong: [string[], string, RegExp, number?][] = [
    [[], "/no/such/file", /DENORT_BIN does not name a program for .*: "\/no\/such\/file"/],
    [[], ROOT, /DENORT_BIN does not name a program/],
    [[], `${ROOT}README.md`, /DENORT_BIN does not name a program/],
    [["--target", "riscv64"], "/no/such/file", /Unknown target "riscv64": expected x86_64.* or aarch64/, 2],
    [
      ["--targt=riscv64"],
      "/no/such/file",
      /Unknown argument "--targt=riscv64": expected --target VALUE, --output VALUE/,
      2,
    ],
    [["riscv64"], "/no/such/file", /Unknown argument "riscv64": expected --target/, 2],
    [["--target"], "/no/such/file", /--target needs a value/, 2],
  ];
  for (const [flags, DENORT_BIN, says, expected = 1] of wrong) {
    const command = [Deno.execPath(), "run", "-A", `${ROOT}scripts/compile.ts`, "--output", "/no/such/file", ...flags];
    const { code, stderr } = await run(command, { env: { DENORT_BIN }, mayFail: true });
    assertEquals(code, expected, stderr);
    assertMatch(stderr, says);
    assertNoStackTrace(stderr);
  }
});

Deno.test("compile: where Deno's runtime cannot be downloaded, it is said what to do", async () => {
  await inDirectory(async (directory) => {
    const program = `import { compileModule } from "${ROOT}scripts/compile.ts";
      await Deno.writeTextFile("empty.js", "");
      await compileModule("empty.js", "x86_64-unknown-linux-gnu", "empty").catch(({ message }) => console.log(message));`;
    // Nothing is listening on the discard port, and no runtime has been downloaded before.
    const env = { DENO_DIR: directory, HTTPS_PROXY: "http://127.0.0.1:9" };
    const { npmCache } = JSON.parse((await run([Deno.execPath(), "info", "--json"])).stdout);
    await Deno.symlink(npmCache, `${directory}/npm`);
    await Deno.writeTextFile(`${directory}/try.ts`, program);
    const deno = [Deno.execPath(), "run", "-A", `--config=${ROOT}deno.json`];
    const command = ["env", "-u", "DENORT_BIN", ...deno, `${directory}/try.ts`];
    const { stdout } = await run(command, { env, cwd: directory });
    assertMatch(
      stdout,
      /^Deno's base runtime .* cannot be downloaded: .*\/denort-x86_64-.*\.zip .* variable DENORT_BIN$/m,
    );
  });
});

Deno.test("what the other ways name is there", async () => {
  const { tasks, version } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const blocks = Object.keys(ELSEWHERE).map((way) => BLOCKS.get(way)!).join("\n");
  const named = (pattern: RegExp) => {
    const found = [...blocks.matchAll(pattern)].map(([, name = ""]) => name);
    assert(found.length > 0, `nothing is named like ${pattern}`);
    return found;
  };
  for (const path of named(/\b(scripts\/\S+)/g)) assert(await Deno.stat(ROOT + path), path);
  for (const task of named(/\bdeno task (\S+)/g)) assert(task in tasks, task);
  for (const one of named(/tcphup[-:](\d+\.\d+\.\d+)/g)) assertEquals(one, version);
});
