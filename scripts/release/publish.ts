// Publishes what `deno task release` has built, as .github/workflows/release.yml calls it: `publish.ts npm`, `publish.ts
// image NAME`, `publish.ts github`. Each can be repeated after it failed half-way: it leaves alone what is published
// already, and refuses where that is something else.

import { createHash } from "node:crypto";
import description from "../../deno.json" with { type: "json" };
import { UsageError } from "../../src/model/errors.ts";
import { readArguments } from "../arguments.ts";
import { TARGETS } from "../compile.ts";
import { run } from "../process.ts";
import { BUILD, fail, RELEASE, ROOT } from "../tools.ts";
import { SUMS } from "./compare.ts";

const VERSION = description.version;

async function publishToNpm(): Promise<void> {
  const tarball = `${RELEASE}tcphup-${VERSION}.tgz`;
  const integrity = `sha512-${createHash("sha512").update(await Deno.readFile(tarball)).digest("base64")}`;
  // This fails where npm has no such package, and prints nothing where it has no such version.
  const { stdout } = await run(["npm", "view", `tcphup@${VERSION}`, "dist.integrity"], { mayFail: true });
  const published = stdout.trim();
  if (published === integrity) return console.log(`npm has tcphup ${VERSION} already`);
  if (published !== "") throw new Error(`npm has another tcphup ${VERSION}: ${published}, not ${integrity}`);
  await run(["npm", "publish", "--provenance", "--access", "public", tarball], { shown: true });
}

/** The names that container images have for machines. */
const PLATFORMS = { x86_64: "linux/amd64", aarch64: "linux/arm64" } as const;

/** Builds an image for each machine, and pushes them under one name. The digest of that is in build/image/digest. */
async function publishImage(name: string): Promise<void> {
  const image = `${name}:${VERSION}`;
  const context = `${BUILD}image`;
  await Deno.remove(context, { recursive: true }).catch(() => {});
  await run(["podman", "manifest", "rm", image], { mayFail: true });
  await run(["podman", "manifest", "create", image]);
  for (const target of TARGETS) {
    const [machine] = target.split("-") as [keyof typeof PLATFORMS];
    const directory = `${context}/${machine}`;
    await Deno.mkdir(directory, { recursive: true });
    const program = ["--strip-components=2", `tcphup-${VERSION}-${target}/bin/tcphup`];
    const archive = `${RELEASE}tcphup-${VERSION}-${target}.tar.xz`;
    await run(["tar", "--extract", "--file", archive, "-C", directory, ...program]);
    const platform = ["--platform", PLATFORMS[machine], "--timestamp=0"];
    const flags = ["--file", `${ROOT}scripts/kubernetes/Containerfile`, "--tag", `${image}-${machine}`];
    await run(["podman", "build", ...platform, ...flags, directory], { shown: true });
    await run(["podman", "manifest", "add", image, `containers-storage:${image}-${machine}`]);
  }
  const push = ["podman", "manifest", "push", "--all", "--digestfile", `${context}/digest`];
  await run([...push, image, `docker://${image}`], { shown: true });
}

/** Returns what CHANGELOG.md says of this version, with each paragraph in one line: GitHub would keep the breaks. */
export function notes(changelog: string, version: string): string {
  const sections = changelog.split(/^(?=## )/m);
  const section = sections.find((section) => section.startsWith(`## ${version}\n`));
  if (section === undefined) throw new Error(`CHANGELOG.md has no entry "## ${version}"`);
  return section.slice(section.indexOf("\n")).trim().replace(/(?<!\n)\n *(?![-#\s])/g, " ");
}

async function publishToGithub(): Promise<void> {
  const tag = `v${VERSION}`;
  const view = await run(["gh", "release", "view", tag, "--json", "isDraft"], { mayFail: true });
  if (view.code === 0 && !JSON.parse(view.stdout).isDraft) return await requireSame(tag);
  if (view.code !== 0) {
    const text = notes(await Deno.readTextFile(`${ROOT}CHANGELOG.md`), VERSION);
    const flags = ["--draft", "--verify-tag", "--title", `tcphup ${VERSION}`, "--notes-file", "-"];
    await run(["gh", "release", "create", tag, ...flags], { stdin: text });
  }
  const files = [...Deno.readDirSync(RELEASE)].map(({ name }) => RELEASE + name).sort();
  await run(["gh", "release", "upload", tag, "--clobber", ...files]);
  // Until here nobody else can see it.
  await run(["gh", "release", "edit", tag, "--draft=false"]);
}

async function requireSame(tag: string): Promise<void> {
  const { stdout } = await run(["gh", "release", "download", tag, "--pattern", SUMS, "--output", "-"]);
  if (stdout !== await Deno.readTextFile(RELEASE + SUMS)) throw new Error(`GitHub has another release ${tag}`);
  console.log(`GitHub has the release ${tag} already`);
}

async function main(): Promise<void> {
  const { _: [where, name, ...rest] } = readArguments(Deno.args, { operands: "npm, github, or image NAME" });
  if (where === "npm" && name === undefined) await publishToNpm();
  else if (where === "github" && name === undefined) await publishToGithub();
  else if (where === "image" && name !== undefined && rest.length === 0) await publishImage(name);
  else throw new UsageError("Where to? Usage: publish.ts npm | github | image NAME");
}

if (import.meta.main) await main().catch(fail);
