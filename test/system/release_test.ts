// `deno task release` starts nothing that is not ready: tried on a copy of the project, with a repository of its own.

import { assertEquals } from "@std/assert";
import { run } from "../harness/process.ts";
import { hostTest } from "../harness/system.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const COPIED = ["deno.json", "deno.lock", "CHANGELOG.md", "cli.ts", "mod.ts", "scripts", "src", "ffi"];
const { version: VERSION } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));

/** Everything committed, nothing tagged. */
class Copy implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<Copy> {
    const copy = new Copy(await Deno.makeTempDir({ prefix: "tcphup-test-" }));
    await run(["cp", "-r", ...COPIED.map((name) => ROOT + name), copy.directory]);
    await copy.git("init", "--quiet");
    await copy.commit("first");
    return copy;
  }

  async git(...args: string[]): Promise<void> {
    const identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
    await run(["git", ...identity, ...args], { cwd: this.directory });
  }

  async commit(message: string): Promise<void> {
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--message", message);
  }

  async append(file: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.directory}/${file}`, text, { append: true });
  }

  /** The lines in which it complains before it exits with `code`. */
  async refusal(code: number, ...args: string[]): Promise<string[]> {
    const command = [Deno.execPath(), "run", "--allow-all", `${this.directory}/scripts/release.ts`, ...args];
    const { stderr, ...others } = await run(command, { cwd: this.directory, mayFail: true });
    assertEquals(others, { code, stdout: "" });
    return stderr.trimEnd().split("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

hostTest("release: no version, or more than one", ["git"], async () => {
  await using copy = await Copy.make();
  const usage = ["Which version? Usage: deno task release VERSION"];
  assertEquals(await copy.refusal(2), usage);
  assertEquals(await copy.refusal(2, VERSION, "9.9.9"), usage);
});

hostTest("release: a version that nothing was prepared for", ["git"], async () => {
  await using copy = await Copy.make();
  assertEquals(await copy.refusal(1, "9.9.9"), [
    "9.9.9 is not ready:",
    `- deno.json has version ${VERSION}, not 9.9.9`,
    '- CHANGELOG.md has no entry "## 9.9.9"',
  ]);
});

hostTest("release: changes that are not committed, and a tag that is elsewhere", ["git"], async () => {
  await using copy = await Copy.make();
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
