// The ways to install and to use tcphup that README.md shows: each block is run as it stands, or something here runs the
// same for a reason.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { pack } from "../../scripts/release/archive.ts";
import { writeSums } from "../../scripts/release/compare.ts";
import { Directory } from "../harness/directory.ts";
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
  npm: "a release; npm_test.ts makes the package without dnt, installs it and uses it",
  Ansible: "hosts; ansible_test.ts runs this playbook on namespaces",
  Kubernetes: "a cluster; kubernetes_test.ts applies it to one in small, container_test.ts runs the image as it says",
  systemd: "a host's systemd; systemd_test.ts verifies the unit",
};

Deno.test("each way that README.md shows is tried", () => {
  assertEquals([...BLOCKS.keys()].sort(), [...Object.keys(ELSEWHERE), "Binary", "Deno", "Library"].sort());
});

/** Has curl(1) find in a directory what is on GitHub. */
const CURL = `#!/bin/bash
from=https://github.com/tcphup/tcphup/releases/download
exec /usr/bin/curl "\${@/$from/file://$PUBLISHED}"`;

/** Installs on a host on which /usr/local is empty but for one directory. */
const INSTALL = `mount -t tmpfs -o mode=755 tmpfs /usr/local && mkdir -m 2775 /usr/local/bin && sh -euc "$0"
  stat --format=%a /usr/local/bin && find /usr/local -type f | sort && /usr/local/bin/tcphup --version`;

const BINARY_NEEDS = ["root", "unshare", "permission to make namespaces", "curl", "xz", "zstd"] as const;

hostTest("install: the program, from an archive that is what SHA256SUMS says", BINARY_NEEDS, async () => {
  using directory = new Directory();
  const { version } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const name = `tcphup-${version}-${Deno.build.target}`;
  const published = `${directory.path}/v${version}`;
  await Deno.mkdir(`${published}/${name}/bin`, { recursive: true });
  // The real one would take long to compress. binary_test.ts runs it.
  const program = `#!/bin/sh\necho tcphup ${version}\n`;
  await Deno.writeTextFile(`${published}/${name}/bin/tcphup`, program, { mode: 0o755 });
  await Deno.writeTextFile(`${published}/${name}/README.md`, "");
  await pack(`${published}/${name}`);
  await Deno.remove(`${published}/${name}`, { recursive: true });
  // Not every file is downloaded.
  await Deno.writeTextFile(`${published}/other`, "");
  writeSums(published);
  await Deno.writeTextFile(`${directory.path}/curl`, CURL, { mode: 0o755 });
  const env = { PATH: `${directory.path}:${Deno.env.get("PATH")}`, PUBLISHED: directory.path };
  const install = async () => {
    const command = ["unshare", "--mount", "bash", "-euc", INSTALL, BLOCKS.get("Binary")!];
    return await run(command, { env, cwd: directory.path, mayFail: true });
  };
  const files = ["README.md", "bin/tcphup"].map((file) => `/usr/local/${file}\n`).join("");
  const { stdout, stderr } = await install();
  assertEquals(stdout, `${name}.tar.xz: OK\n2775\n${files}tcphup ${version}\n`, stderr);

  await Deno.writeTextFile(`${published}/${name}.tar.xz`, "other", { append: true });
  const refused = await install();
  assertEquals(refused.code === 0, false);
  assertEquals(refused.stdout, `${name}.tar.xz: FAILED\n`);
});

hostTest("install: with Deno", [], async () => {
  using directory = new Directory();
  // `deno` is the one that runs the tests.
  await Deno.symlink(Deno.execPath(), `${directory.path}/deno`);
  const env = { PATH: `${directory.path}:${Deno.env.get("PATH")}` };
  const { stdout } = await run(["sh", "-euc", BLOCKS.get("Deno")!], { env, cwd: ROOT });
  assertMatch(stdout, /^ok +shutdown: hang up: works$/m);
});

hostTest("install: as a library", [], async () => {
  using directory = new Directory();
  const imports = { "@tcphup/tcphup": `${ROOT}mod.ts` };
  await Deno.writeTextFile(`${directory.path}/deno.json`, JSON.stringify({ imports }));
  await Deno.writeTextFile(`${directory.path}/use.ts`, BLOCKS.get("Library")!);
  const { stdout } = await run([Deno.execPath(), "run", "--check", "--allow-ffi", "use.ts"], { cwd: directory.path });
  assertEquals(stdout, "0 of 0 []\n");
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
  using directory = new Directory();
  const program = `import { compileModule } from "${ROOT}scripts/compile.ts";
    await Deno.writeTextFile("empty.js", "");
    await compileModule("empty.js", "x86_64-unknown-linux-gnu", "empty").catch(({ message }) => console.log(message));`;
  // Nothing is listening on the discard port, and no runtime has been downloaded before.
  const env = { DENO_DIR: directory.path, HTTPS_PROXY: "http://127.0.0.1:9" };
  const { npmCache } = JSON.parse((await run([Deno.execPath(), "info", "--json"])).stdout);
  await Deno.symlink(npmCache, `${directory.path}/npm`);
  await Deno.writeTextFile(`${directory.path}/try.ts`, program);
  const deno = [Deno.execPath(), "run", "-A", `--config=${ROOT}deno.json`];
  const command = ["env", "-u", "DENORT_BIN", ...deno, `${directory.path}/try.ts`];
  const { stdout } = await run(command, { env, cwd: directory.path });
  assertMatch(
    stdout,
    /^Deno's base runtime .* cannot be downloaded: .*\/denort-x86_64-.*\.zip .* variable DENORT_BIN$/m,
  );
});

Deno.test("what the other ways name is there", async () => {
  const blocks = [...BLOCKS.values()].join("\n");
  const named = (pattern: RegExp) => {
    const found = [...blocks.matchAll(pattern)].map(([, name = ""]) => name);
    assert(found.length > 0, `nothing is named like ${pattern}`);
    return found;
  };
  for (const path of named(/\b(scripts\/\S+)/g)) assert(await Deno.stat(ROOT + path), path);
});
