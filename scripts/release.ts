// Makes a release: `deno task release VERSION`. It checks that all is ready, builds everything into build/release, and
// says what to push. It changes nothing outside of build/.

import description from "../deno.json" with { type: "json" };
import { UsageError } from "../src/model/errors.ts";
import { readArguments } from "./arguments.ts";
import { buildPackage } from "./build_npm.ts";
import { compile, type Target, TARGETS } from "./compile.ts";
import { writeShared } from "./docs.ts";
import { run } from "./process.ts";
import { BUILD, fail, ROOT, sha256 } from "./tools.ts";

const RELEASE = `${BUILD}release/`;

/** What is to be read, beside the man page. */
const DOCUMENTS = ["README.md", "CHANGELOG.md", "LICENSE.txt"];

async function git(...args: string[]): Promise<string> {
  return (await run(["git", ...args], { cwd: ROOT })).stdout.trimEnd();
}

async function task(name: string, ...args: string[]): Promise<void> {
  await run([Deno.execPath(), "task", name, ...args], { cwd: ROOT, shown: true });
}

/** What is wrong before anything is built. */
async function problems(version: string): Promise<string[]> {
  const found = [];
  if (description.version !== version) found.push(`deno.json has version ${description.version}, not ${version}`);
  const changelog = await Deno.readTextFile(`${ROOT}CHANGELOG.md`);
  if (!changelog.split("\n").includes(`## ${version}`)) found.push(`CHANGELOG.md has no entry "## ${version}"`);
  const changes = await git("status", "--porcelain");
  if (changes !== "") found.push(`there are changes that are not committed:\n${changes}`);
  const tagged = await git("tag", "--list", `v${version}`);
  if (tagged !== "" && await git("rev-list", "-n1", `v${version}`) !== await git("rev-parse", "HEAD")) {
    found.push(`the tag v${version} is on another commit`);
  }
  return found;
}

/** The sources pass. */
async function test(): Promise<void> {
  await task("check");
  await task("test");
  await task("test:node");
  await run([Deno.execPath(), "publish", "--dry-run"], { cwd: ROOT });
}

/** The tarball for a machine, which is unpacked over /usr/local. Returns its path. */
async function pack(target: Target, version: string): Promise<string> {
  const name = `tcphup-${version}-${target}`;
  const root = `${RELEASE}${name}/`;
  await Deno.mkdir(`${root}bin`, { recursive: true });
  await compile(target, `${root}bin/tcphup`);
  if (target === Deno.build.target) {
    await run([Deno.execPath(), "task", "test"], { cwd: ROOT, shown: true, env: { TCPHUP: `${root}bin/tcphup` } });
  }
  await writeShared(root);
  await Deno.mkdir(`${root}share/doc/tcphup`, { recursive: true });
  for (const name of DOCUMENTS) await Deno.copyFile(ROOT + name, `${root}share/doc/tcphup/${name}`);
  const tarball = `${RELEASE}${name}.tar.gz`;
  // The same content makes the same file.
  const sameness = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"];
  await run([
    "tar",
    "--create",
    "--file",
    tarball,
    "--use-compress-program=gzip -n9",
    ...sameness,
    "-C",
    RELEASE,
    name,
  ]);
  await Deno.remove(root, { recursive: true });
  return tarball;
}

async function release(version: string): Promise<void> {
  const found = await problems(version);
  if (found.length > 0) throw new Error(`${version} is not ready:\n- ${found.join("\n- ")}`);
  await test();
  await Deno.remove(RELEASE, { recursive: true }).catch(() => {});
  await Deno.mkdir(RELEASE, { recursive: true });
  const files = [];
  for (const target of TARGETS) files.push(await pack(target, version));
  const built = await buildPackage();
  const npm = `${RELEASE}tcphup-${version}.tgz`;
  await Deno.rename(built, npm);
  const sums = [...files, npm].map((file) => `${sha256(file)}  ${file.slice(RELEASE.length)}\n`).join("");
  await Deno.writeTextFile(`${RELEASE}SHA256SUMS`, sums);
  console.log(`${sums}
${RELEASE} is complete. To publish it, push the tag, and .github/workflows/release.yml does the rest:

  git tag v${version} && git push origin v${version}
`);
}

async function main(): Promise<void> {
  const { _: [version, ...rest] } = readArguments(Deno.args, { operands: "VERSION" });
  if (version === undefined || rest.length > 0) throw new UsageError("Which version? Usage: deno task release VERSION");
  await release(version);
}

if (import.meta.main) await main().catch(fail);
