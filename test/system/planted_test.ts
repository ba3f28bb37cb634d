// Other people's configuration in a directory above the sources, where Deno looks for a workspace, or where it is started:
// with an import map it puts modules of theirs in the place of ours, and root may be the one who runs them.

import { assertEquals, assertMatch } from "@std/assert";
import { Directory } from "../harness/directory.ts";
import { run } from "../harness/process.ts";
import { hostTest } from "../harness/system.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const ONE_FILE = "test/report/report_test.ts";
const COPIED = ["README.md", "cli.ts", "deno.json", "deno.lock", "ffi", "mod.ts", "scripts", "src", "test"];

/** A copy of the sources below a directory with a deno.json and a module that are not ours. */
class Planted extends Directory {
  readonly sources = `${this.path}/tcphup`;

  static async make(): Promise<Planted> {
    const planted = new Planted();
    const { path: above, sources } = planted;
    await Deno.mkdir(sources);
    await run(["cp", "-r", "--parents", ...COPIED, sources], { cwd: ROOT });
    await Deno.symlink(Deno.execPath(), `${above}/deno`);
    await Deno.writeTextFile(
      `${above}/planted.ts`,
      `console.log("PLANTED"); export const main = () => 0, supervise = main, hangUp = main, list = main;`,
    );
    const modules = ["mod.ts", "src/cli/main.ts", "src/run/supervise.ts", "src/hang_up.ts", "test/harness/sample.ts"];
    const imports = Object.fromEntries(modules.map((path) => [`file://${sources}/${path}`, "./planted.ts"]));
    await write(`${above}/deno.json`, { workspace: ["./tcphup"], imports });
    return planted;
  }

  /** Takes away from our deno.json what keeps Deno from looking further up. */
  async openUp(): Promise<void> {
    const { workspace: _, ...rest } = JSON.parse(await Deno.readTextFile(`${this.sources}/deno.json`));
    await write(`${this.sources}/deno.json`, rest);
  }

  /** Runs a line of sh(1), in which `deno` is the one that runs the tests; all that it prints. */
  async run(line: string, cwd = this.sources): Promise<string> {
    const env = { PATH: `${this.path}:${Deno.env.get("PATH")}`, NO_COLOR: "1" };
    const { code, stdout, stderr } = await run(["sh", "-euc", line], { cwd, env, mayFail: true });
    return `${stdout}${stderr}exit ${code}`;
  }
}

async function write(path: string, value: object): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify(value));
}

/** The commands of README.md that run the sources. Of the tests, one file is run. */
async function documented(): Promise<string[]> {
  const readme = await Deno.readTextFile(`${ROOT}README.md`);
  const lines = readme.matchAll(/^(?:npx -y deno@[0-9.]+|deno) (run .*)$/gm);
  return [...lines].map(([, rest]) => `deno ${rest}`.replace(/scripts\/test\.ts$/, `$& ${ONE_FILE}`));
}

hostTest("a deno.json above does not get its modules into a checkout, however Deno is started", [], async () => {
  using planted = await Planted.make();
  const commands = [
    "deno run --allow-ffi cli.ts --version",
    "./cli.ts --version",
    "deno run --allow-ffi cli.ts run -- echo started",
    `deno task test ${ONE_FILE}`,
    "deno task demo",
    ...await documented(),
  ];
  for (const command of commands) assertMatch(await planted.run(command), /^(?!.*PLANTED).*exit 0$/s, command);
});

hostTest("what is documented reads no deno.json, so none above, and none where it is started", [], async () => {
  using planted = await Planted.make();
  await planted.openUp();
  assertMatch(await planted.run("deno run --allow-ffi cli.ts --version"), /^PLANTED$/m, "what was planted grows");
  assertEquals((await documented()).length, 3);
  // `deno test`, which the test script starts, is to read our deno.json.
  const closed = (await documented()).filter((command) => !command.includes(ONE_FILE));
  for (const command of ["./cli.ts --version", "./cli.ts run -- echo started", ...closed]) {
    assertMatch(await planted.run(command), /^(?!.*PLANTED).*exit 0$/s, command);
  }
  assertMatch(await planted.run("tcphup/cli.ts run -- echo started", planted.path), /^started\nexit 0$/);
});

hostTest("the supervisor of run reads no deno.json either", [], async () => {
  using planted = await Planted.make();
  await planted.openUp();
  const command = "deno run --allow-ffi --no-config tcphup/cli.ts run -- echo started";
  assertEquals(await planted.run(command, planted.path), "started\nexit 0");
});
