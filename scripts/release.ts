// Makes a release: `deno task release VERSION` checks that all is ready, builds everything into build/release, and says
// what to push. `deno task release --compare VERSION` builds the same, and compares it with what was published. Both
// change nothing outside of build/.

import description from "../deno.json" with { type: "json" };
import { UsageError } from "../src/model/errors.ts";
import { readArguments } from "./arguments.ts";
import { buildPackage } from "./build_npm.ts";
import { compile, type Target, TARGETS } from "./compile.ts";
import { writeShared } from "./docs.ts";
import { run } from "./process.ts";
import { pack } from "./release/archive.ts";
import { compare, writeSums } from "./release/compare.ts";
import { fetchRuntime } from "./release/runtime.ts";
import { BUILD, fail, RELEASE, REPOSITORY, ROOT } from "./tools.ts";

/** What is to be read, beside the man page. */
const DOCUMENTS = ["README.md", "CHANGELOG.md", "LICENSE.txt"];

async function git(...args: string[]): Promise<string> {
  return (await run(["git", ...args], { cwd: ROOT })).stdout.trimEnd();
}

async function task(env: Record<string, string>, name: string, ...args: string[]): Promise<void> {
  await run([Deno.execPath(), "task", name, ...args], { cwd: ROOT, shown: true, env });
}

/** What is wrong before anything is built. */
async function problems(version: string): Promise<string[]> {
  const found = [];
  if (description.version !== version) found.push(`deno.json has version ${description.version}, not ${version}`);
  const changelog = await Deno.readTextFile(`${ROOT}CHANGELOG.md`);
  if (!changelog.split("\n").includes(`## ${version}`)) found.push(`CHANGELOG.md has no entry "## ${version}"`);
  const deno = (await Deno.readTextFile(`${ROOT}.ci/deno-version`)).trim();
  if (Deno.version.deno !== deno) found.push(`this is Deno ${Deno.version.deno}, not ${deno} as .ci/deno-version says`);
  if (Deno.env.has("DENORT_BIN")) {
    found.push("DENORT_BIN is set: a release begins with Deno's own runtime, which is downloaded");
  }
  const changes = await git("status", "--porcelain");
  if (changes !== "") found.push(`there are changes that are not committed:\n${changes}`);
  const tagged = await git("tag", "--list", `v${version}`);
  if (tagged !== "" && await git("rev-list", "-n1", `v${version}`) !== await git("rev-parse", "HEAD")) {
    found.push(`the tag v${version} is on another commit`);
  }
  return found;
}

async function requireReady(version: string): Promise<void> {
  const found = await problems(version);
  if (found.length > 0) throw new Error(`${version} is not ready:\n- ${found.join("\n- ")}`);
}

/** Makes a directory, which is empty then. */
async function makeEmpty(directory: string): Promise<void> {
  await Deno.remove(directory, { recursive: true }).catch(() => {});
  await Deno.mkdir(directory, { recursive: true });
}

/** The sources pass. */
async function testSources(): Promise<void> {
  await task({}, "check");
  await task({}, "test");
  await task({}, "test:node");
  await run([Deno.execPath(), "publish", "--dry-run"], { cwd: ROOT });
}

/** Builds all that is published into build/release. `tryProgram` is called with the program for this machine. */
async function build(version: string, tryProgram?: (program: string) => Promise<void>): Promise<void> {
  const directory = `${BUILD}runtime`;
  await makeEmpty(directory);
  const runtimes = new Map<Target, string>();
  for (const target of TARGETS) runtimes.set(target, await fetchRuntime(Deno.version.deno, target, directory));
  await makeEmpty(RELEASE);
  for (const [target, runtime] of runtimes) {
    const root = `${RELEASE}tcphup-${version}-${target}`;
    await Deno.mkdir(`${root}/bin`, { recursive: true });
    await compile(target, `${root}/bin/tcphup`, runtime);
    if (target === Deno.build.target) await tryProgram?.(`${root}/bin/tcphup`);
    await writeShared(root);
    await Deno.mkdir(`${root}/share/doc/tcphup`, { recursive: true });
    for (const name of DOCUMENTS) await Deno.copyFile(ROOT + name, `${root}/share/doc/tcphup/${name}`);
    await pack(root);
    await Deno.remove(root, { recursive: true });
  }
  await Deno.rename(await buildPackage(), `${RELEASE}tcphup-${version}.tgz`);
}

/** Lists the files of the release with their sizes. */
function sizes(): string {
  const names = [...Deno.readDirSync(RELEASE)].map(({ name }) => name).sort();
  return names.map((name) => `${(Deno.statSync(RELEASE + name).size / 1e6).toFixed(1).padStart(5)} MB  ${name}\n`).join(
    "",
  );
}

async function release(version: string): Promise<void> {
  await requireReady(version);
  await testSources();
  await build(version, (program) => task({ TCPHUP: program }, "test"));
  const sums = writeSums(RELEASE);
  console.log(`${sizes()}
${sums}
${RELEASE} is complete. To publish it, push the tag, and .github/workflows/release.yml does the rest:

  git tag v${version} && git push origin v${version}
`);
}

async function compareWithPublished(version: string): Promise<void> {
  await requireReady(version);
  await build(version);
  writeSums(RELEASE);
  const published = `${BUILD}published`;
  await makeEmpty(published);
  const differences = await compare(RELEASE, published, async (name) => {
    const url = `${REPOSITORY}/releases/download/v${version}/${name}`;
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    await Deno.writeFile(`${published}/${name}`, response.body!);
  });
  if (differences.length > 0) throw new Error(differences.join("\n"));
  console.log(`What was published as ${version} is what ${await git("rev-parse", "HEAD")} makes`);
}

async function main(): Promise<void> {
  const { _: [version, ...rest], compare } = readArguments(Deno.args, { switches: ["compare"], operands: "VERSION" });
  if (version === undefined || rest.length > 0) {
    throw new UsageError("Which version? Usage: deno task release [--compare] VERSION");
  }
  await (compare ? compareWithPublished(version) : release(version));
}

if (import.meta.main) await main().catch(fail);
