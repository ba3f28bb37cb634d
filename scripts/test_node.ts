// Runs the tests with Node: `deno task test:node [FILE...]`. The pure tests run in Node itself; the system tests, those
// that are named or the core of them, are run by Deno as ever, but tcphup by Node. The variable TCPHUP_NODE names another
// Node than the one in PATH (npx sets NODE to its own).

import { readArguments } from "./arguments.ts";
import { deno } from "./node/deno.ts";
import { installPackages, OLDEST_NODE } from "./node/packages.ts";
import { run, toCommand } from "./process.ts";
import { fail, ROOT } from "./tools.ts";

/** The files with pure tests: those that need no host. */
function pureTests(directory: string): string[] {
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) => {
    const path = `${directory}/${name}`;
    if (isDirectory) return ["system", "released"].includes(name) ? [] : pureTests(path);
    return name.endsWith("_test.ts") ? [path] : [];
  });
}

/** What a test, or a file of the tests' own that it imports, uses of Deno that there is no substitute for. */
function lacking(path: string, seen: Set<string> = new Set()): string[] {
  seen.add(path);
  const text = Deno.readTextFileSync(path);
  const used = [...text.matchAll(/\bDeno\.(\w+)/g)].map(([, name = ""]) => name).filter((name) => !(name in deno));
  const imported = [...text.matchAll(/^(?:import|export|\}) .*from "(\.[^"]+\.ts)"/gm)].map(([, name = ""]) =>
    new URL(name, `file://${path}`).pathname
  )
    .filter((name) => name.startsWith(`${ROOT}test/`) && !seen.has(name));
  return [...new Set([...used, ...imported.flatMap((name) => lacking(name, seen))])];
}

/** The pure tests that Node can run. Names the others, each with the reason. */
function runnableTests(): string[] {
  return pureTests(`${ROOT}test`).filter((path) => {
    const names = lacking(path);
    if (names.length > 0) console.log(`left to Deno: ${path.slice(ROOT.length)}, which uses ${names.join(", ")}`);
    return names.length === 0;
  });
}

async function findNode(): Promise<string> {
  const say = "console.log(process.execPath, process.versions.node)";
  const { stdout } = await run([Deno.env.get("TCPHUP_NODE") ?? "node", "-e", say]);
  const [path = "", version = ""] = stdout.trim().split(" ");
  if (version.localeCompare(OLDEST_NODE, undefined, { numeric: true }) >= 0) return path;
  throw new Error(
    `Node ${version} cannot run TypeScript: expected ${OLDEST_NODE} or later, in PATH or as TCPHUP_NODE`,
  );
}

/** The system tests of what tcphup does through the backend, but for those of flags. */
const CORE =
  /^(hang_up|select|select_holder|select_netns|ls|keepalive_set|keepalive_watch.*|run.*|supervisor)_test\.ts$/;

function coreTests(): string[] {
  const directory = `${ROOT}test/system/`;
  return [...Deno.readDirSync(directory)].filter(({ name }) => CORE.test(name)).map(({ name }) => directory + name);
}

/** How many tests passed, failed and were skipped. */
type Counts = readonly [number, number, number];

/** Runs tests, shows what they print, and counts. */
async function count(
  command: readonly string[],
  env: Record<string, string>,
  counts: readonly [RegExp, RegExp, RegExp],
): Promise<Counts> {
  const { stdout } = toCommand(command, { env, stdout: "piped" }).spawn();
  let text = "";
  const decoder = new TextDecoder();
  for await (const piece of stdout) {
    await Deno.stdout.write(piece);
    text += decoder.decode(piece, { stream: true });
  }
  const number = (pattern: RegExp) => Number([...text.matchAll(pattern)].at(-1)?.[1] ?? NaN);
  return [number(counts[0]), number(counts[1]), number(counts[2])];
}

async function main(): Promise<void> {
  const { _: named } = readArguments(Deno.args, { operands: "FILE..." });
  const node = await findNode();
  await installPackages();
  const register = ["--import", `${ROOT}scripts/node/register.ts`];
  const global = ["--import", `${ROOT}scripts/node/global.ts`];
  const pure = await count([node, ...register, ...global, "--test", "--test-reporter=tap", ...runnableTests()], {}, [
    /^# pass (\d+)/gm,
    /^# fail (\d+)/gm,
    /^# skipped (\d+)/gm,
  ]);
  const files = named.length > 0 ? named : coreTests();
  const env = { TCPHUP: [node, ...register, `${ROOT}cli.ts`].join(" ") };
  const core = await count([Deno.execPath(), "run", "-A", `${ROOT}scripts/test.ts`, "--no-check", ...files], env, [
    /^(\d+) passed, \d+ failed, \d+ skipped$/gm,
    /^\d+ passed, (\d+) failed, \d+ skipped$/gm,
    /^\d+ passed, \d+ failed, (\d+) skipped$/gm,
  ]);
  const [passed, failed, skipped] = [pure[0] + core[0], pure[1] + core[1], pure[2] + core[2]];
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  // Where there was nothing to count, something else went wrong.
  Deno.exit(failed === 0 && passed > 0 ? 0 : 1);
}

await main().catch(fail);
