// Runs the tests with Node: `deno task test:node [FILE...]`. The pure tests run in Node itself; the system tests, those
// that are named or the core of them, are run by Deno as ever, but tcphup by Node. The variable TCPHUP_NODE names another Node
// than the one in PATH (npx sets NODE to its own).

import { installPackages } from "./node/packages.ts";
import { fail, ROOT, run } from "./tools.ts";

/** The first that strips types without being asked to. */
const OLDEST = [22, 18];

/** The files with pure tests: those that need no host. */
function pureTests(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) => {
    const path = `${directory}/${name}`;
    if (isDirectory) return name === "system" ? [] : pureTests(path);
    return name.endsWith("_test.ts") ? [path] : [];
  });
}

async function findNode(): Promise<string> {
  const say = "console.log(process.execPath, process.versions.node)";
  const [path, version] = (await run([Deno.env.get("TCPHUP_NODE") ?? "node", "-e", say])).trim().split(" ");
  const [major, minor] = version.split(".").map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return path;
  throw new Error(
    `Node ${version} cannot run TypeScript: expected ${OLDEST.join(".")} or later, in PATH or as TCPHUP_NODE`,
  );
}

/** The system tests of what tcphup is for. */
const CORE = /^(hang_up|select|ls|keepalive|run)(_.*)?_test\.ts$/;

function coreTests(): string[] {
  const directory = `${ROOT}test/system/`;
  return [...Deno.readDirSync(directory)].filter(({ name }) => CORE.test(name)).map(({ name }) => directory + name);
}

async function main(): Promise<void> {
  const node = await findNode();
  await installPackages();
  const register = ["--import", `${ROOT}scripts/node/register.ts`];
  const shim = ["--import", `${ROOT}scripts/node/deno_test.ts`];
  await run([node, ...register, ...shim, "--test", ...pureTests(`${ROOT}test`)], { shown: true });
  const files = Deno.args.length > 0 ? Deno.args : coreTests();
  const test = [Deno.execPath(), "run", "-A", `${ROOT}scripts/test.ts`, ...files];
  await run(test, { shown: true, env: { TCPHUP: [node, ...register, `${ROOT}cli.ts`].join(" ") } });
}

await main().catch((error) => fail((error as Error).message));
