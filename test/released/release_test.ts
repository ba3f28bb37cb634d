// Releases. `deno task release` starts nothing that is not ready: tried on a copy of the project, with a repository of its
// own. Its parts make the same bytes of the same commit, and take no runtime but Deno's.

import { assertEquals, assertNotEquals } from "@std/assert";
import { contentSum, pack } from "../../scripts/release/archive.ts";
import { compare, writeSums } from "../../scripts/release/compare.ts";
import { fetchRuntime } from "../../scripts/release/runtime.ts";
import { sha256 } from "../../scripts/tools.ts";
import { Directory } from "../harness/directory.ts";
import { run } from "../harness/process.ts";
import { hostTest } from "../harness/system.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const COPIED = [".ci", "deno.json", "deno.lock", "CHANGELOG.md", "cli.ts", "mod.ts", "scripts", "src", "ffi"];
const { version: VERSION } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));

/** What is wrong where another Deno than the current one runs the tests. */
const THIS_DENO = `- this is Deno ${Deno.version.deno}, not `;

/** Everything committed, nothing tagged. */
class Copy extends Directory {
  /** Begins the command. */
  prefix: readonly string[] = [];

  static async make(): Promise<Copy> {
    const copy = new Copy();
    await run(["cp", "-r", ...COPIED.map((name) => ROOT + name), copy.path]);
    await copy.git("init", "--quiet");
    await copy.commit("first");
    return copy;
  }

  async git(...args: string[]): Promise<void> {
    const identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
    await run(["git", ...identity, ...args], { cwd: this.path });
  }

  async commit(message: string): Promise<void> {
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--message", message);
  }

  async append(file: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.path}/${file}`, text, { append: true });
  }

  /** The lines in which it complains before it exits with `code`. */
  async refusal(code: number, ...args: string[]): Promise<string[]> {
    const env = ["env", "-u", "DENORT_BIN", ...this.prefix];
    const command = [...env, Deno.execPath(), "run", "--allow-all", `${this.path}/scripts/release.ts`, ...args];
    const { stderr, ...others } = await run(command, { cwd: this.path, mayFail: true });
    assertEquals(others, { code, stdout: "" });
    return stderr.trimEnd().split("\n").filter((line) => !line.startsWith(THIS_DENO));
  }
}

hostTest("release: no version, or more than one", ["git"], async () => {
  using copy = await Copy.make();
  const usage = ["Which version? Usage: deno task release [--compare] VERSION"];
  assertEquals(await copy.refusal(2), usage);
  assertEquals(await copy.refusal(2, VERSION, "9.9.9"), usage);
});

hostTest("release: a version that nothing was prepared for", ["git"], async () => {
  using copy = await Copy.make();
  assertEquals(await copy.refusal(1, "9.9.9"), [
    "9.9.9 is not ready:",
    `- deno.json has version ${VERSION}, not 9.9.9`,
    '- CHANGELOG.md has no entry "## 9.9.9"',
  ]);
});

hostTest("release: changes that are not committed, and a tag that is elsewhere", ["git"], async () => {
  using copy = await Copy.make();
  await copy.git("tag", `v${VERSION}`);
  await copy.append("CHANGELOG.md", "- One more.\n");
  await copy.commit("second");
  await copy.append("cli.ts", "// to be continued\n");
  assertEquals(await copy.refusal(1, VERSION), [
    `${VERSION} is not ready:`,
    "- there are changes that are not committed:",
    " M cli.ts",
    `- the tag v${VERSION} is on another commit`,
  ]);
});

hostTest("release: another base runtime than Deno's, to build and to compare", ["git"], async () => {
  using copy = await Copy.make();
  copy.prefix = ["DENORT_BIN=/bin/true"];
  const refusal = [
    `${VERSION} is not ready:`,
    "- DENORT_BIN is set: a release begins with Deno's own runtime, which is downloaded",
  ];
  assertEquals(await copy.refusal(1, VERSION), refusal);
  assertEquals(await copy.refusal(1, "--compare", VERSION), refusal);
});

const TARGET = "x86_64-unknown-linux-gnu";
const ARCHIVE = `https://dl.deno.land/release/v2.0.0/denort-${TARGET}.zip`;
const CHECKSUM = `https://github.com/denoland/deno/releases/download/v2.0.0/denort-${TARGET}.zip.sha256sum`;

/** Answers with what is given for a URL, as a server would. */
function serve(files: Record<string, Uint8Array<ArrayBuffer> | string>): (url: string) => Promise<Response> {
  return (url) => Promise.resolve(url in files ? new Response(files[url]) : new Response("", { status: 404 }));
}

hostTest("release: Deno's runtime is taken when it is what Deno has published", ["python3"], async () => {
  using directory = new Directory();
  await Deno.writeTextFile(`${directory.path}/denort`, "the runtime");
  await run(["python3", "-m", "zipfile", "-c", "denort.zip", "denort"], { cwd: directory.path });
  const zip = await Deno.readFile(`${directory.path}/denort.zip`);
  const sum = sha256(`${directory.path}/denort.zip`);
  const fetched = (files: Record<string, Uint8Array<ArrayBuffer> | string>) =>
    fetchRuntime("2.0.0", TARGET, directory.path, serve(files));

  const other = sum.replace(/^./, (digit) => digit === "0" ? "1" : "0");
  const wrong = [
    [{}, `${CHECKSUM} answers 404`],
    [{ [CHECKSUM]: "<html>" }, `${CHECKSUM} is no SHA-256`],
    [{ [CHECKSUM]: sum }, `${ARCHIVE} answers 404`],
    [
      { [CHECKSUM]: other, [ARCHIVE]: zip },
      `${ARCHIVE} is not what Deno has published: its SHA-256 is ${sum}, not ${other}`,
    ],
  ] as const;
  for (const [files, message] of wrong) {
    assertEquals(await fetched(files).catch((error) => error.message), message);
    const names = [...Deno.readDirSync(directory.path)].map(({ name }) => name);
    assertEquals(names.includes(`denort-${TARGET}`), false);
  }

  const path = await fetched({ [CHECKSUM]: `${sum}  denort-${TARGET}.zip\n`, [ARCHIVE]: zip });
  assertEquals(await Deno.readTextFile(path), "the runtime");
});

/** Makes a directory with two files, and a directory in it. */
async function makeTree(directory: string, text: string, files: readonly string[]): Promise<string> {
  const tree = `${directory}/tcphup`;
  await Deno.mkdir(`${tree}/bin`, { recursive: true });
  for (const file of files) await Deno.writeTextFile(`${tree}/${file}`, text);
  return tree;
}

hostTest("release: who packs, where and when does not change the archives", ["xz", "zstd"], async () => {
  using directory = new Directory();
  const first = await makeTree(`${directory.path}/1`, "text", ["bin/tcphup", "README.md"]);
  const second = await makeTree(`${directory.path}/second`, "text", ["README.md", "bin/tcphup"]);
  await run(["chmod", "-R", "go=", second]);
  await Deno.utime(`${second}/bin`, 1, 1);
  const third = await makeTree(`${directory.path}/3`, "Text", ["bin/tcphup", "README.md"]);
  const [ours, theirs, others] = await Promise.all([pack(first), pack(second), pack(third)]);
  assertEquals(ours.map((path) => path.slice(first.length)), [".tar.xz", ".tar.zst"]);
  assertEquals(ours.map(sha256), theirs.map(sha256));
  const [xz, zst] = await Promise.all(ours.map(contentSum));
  assertEquals(xz, zst);
  assertNotEquals(xz, await contentSum(others[0]!));
});

hostTest("release: a stranger sees whether a release is what its sources make", ["xz"], async () => {
  using directory = new Directory();
  const [built, server, published] = [
    `${directory.path}/built`,
    `${directory.path}/server`,
    `${directory.path}/published`,
  ];
  for (const path of [built, server, published]) await Deno.mkdir(path);
  const compress = async (path: string, text: string, level: string) =>
    await run(["sh", "-c", `printf %s "$0" | xz ${level} >"$1"`, text, path]);
  const fetchFile = (name: string) => Deno.copyFile(`${server}/${name}`, `${published}/${name}`);
  const publish = async (...texts: [name: string, text: string][]) => {
    for (const [name, text] of texts) await compress(`${server}/${name}`, text, "-0");
    writeSums(server);
  };
  for (const name of ["a.tar.xz", "b.tar.xz"]) await compress(`${built}/${name}`, name, "-9");
  writeSums(built);

  // Compressed otherwise, but the same content.
  await publish(["a.tar.xz", "a.tar.xz"], ["b.tar.xz", "b.tar.xz"]);
  assertNotEquals(sha256(`${built}/a.tar.xz`), sha256(`${server}/a.tar.xz`));
  assertEquals(await compare(built, published, fetchFile), []);

  await publish(["a.tar.xz", "other"], ["c.tar.xz", "more"]);
  await Deno.remove(`${server}/b.tar.xz`);
  writeSums(server);
  assertEquals(await compare(built, published, fetchFile), [
    "a.tar.xz: differs",
    "b.tar.xz: is not published",
    "c.tar.xz: is published, but not built here",
  ]);

  await compress(`${server}/a.tar.xz`, "a.tar.xz", "-1");
  const [tampered] = await compare(built, published, fetchFile);
  assertEquals(tampered, "a.tar.xz: is not what the published SHA256SUMS says");
});

hostTest("release: the program is the same, byte for byte, wherever it is compiled", ["DENORT_BIN"], async () => {
  const sums = await Promise.all(["a", "another/place"].map(async (place, i) => {
    let sum = "";
    using directory = new Directory();
    const copy = `${directory.path}/${place}`;
    await Deno.mkdir(copy, { recursive: true });
    await run(["cp", "-r", ...COPIED.map((name) => ROOT + name), copy]);
    const env = { TMPDIR: directory.path, TZ: i === 0 ? "UTC" : "Asia/Tokyo" };
    const compile = `umask 0${i}7; exec "$0" run -A scripts/compile.ts --output tcphup`;
    await run(["sh", "-c", compile, Deno.execPath()], { cwd: copy, env });
    sum = sha256(`${copy}/tcphup`);
    return sum;
  }));
  assertEquals(sums[0], sums[1]);
});
