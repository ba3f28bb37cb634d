// Makes tcphup one file that needs no Deno: `deno task compile [--target TARGET] [--output FILE]`.
//
// The program is bundled first and what comes of it compiled, so that nothing else is embedded. Parsing all of it costs
// a third of an empty program's start, so each command stays a module of its own, loaded when it is called for. The
// file has no code cache, which would be read from a predictable name in $TMPDIR, where any user could leave one for
// root to run.

import description from "../deno.json" with { type: "json" };
import { VERSION } from "../src/cli/flags/version.ts";
import { UsageError } from "../src/model/errors.ts";
import { readArguments } from "./arguments.ts";
import { run } from "./process.ts";
import { BUILD, fail, ROOT, RUN_FLAGS, sha256 } from "./tools.ts";

/** Deno's names for the machines that there are builds for, with their e_machine of <elf.h>. */
const MACHINES = { "x86_64-unknown-linux-gnu": 62, "aarch64-unknown-linux-gnu": 183 } as const;

/** A machine that there are builds for. */
export type Target = keyof typeof MACHINES;

/** All of them. */
export const TARGETS = Object.keys(MACHINES) as Target[];

/** What the file may do: call libc, through which it reads /proc and speaks netlink. No other code gets in, then or later. */
const PERMISSIONS = [...RUN_FLAGS, "--deny-import", "--no-prompt"];

const UNCHANGED = ["--no-check", "--no-code-cache"];

/** The base runtime that the environment names; undefined where Deno is to download its own. */
const NAMED_RUNTIME = Deno.env.get("DENORT_BIN");

/**
 * Compiles tcphup, and tries it where this is such a machine.
 *
 * @param runtime The path of the base runtime.
 */
export async function compile(target: Target, output: string, runtime = NAMED_RUNTIME): Promise<void> {
  if (runtime !== undefined) requireRuntimeFor(target, runtime);
  const directory = await Deno.makeTempDir({ prefix: "tcphup-compile-" });
  try {
    await bundle(directory);
    // The modules' times are embedded with them, and the same sources are to make the same file.
    for await (const { name } of Deno.readDir(directory)) await Deno.utime(`${directory}/${name}`, 0, 0);
    await compileModule(`${directory}/cli.js`, target, output, runtime);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  await examine(target, output);
}

/** Bundles the program into a directory. `deno bundle` would fetch an esbuild that deno.lock does not know. */
async function bundle(directory: string): Promise<void> {
  const esbuild = [Deno.execPath(), "run", "--quiet", "--frozen", "--allow-all", description.imports.esbuild];
  const flags = ["--bundle", "--splitting", "--format=esm", "--platform=node", "--log-level=warning"];
  await run([...esbuild, "cli.ts", ...flags, `--outdir=${directory}`], { cwd: ROOT });
}

/** Compiles one module, and what it imports, into the file `output`. */
export async function compileModule(
  module: string,
  target: Target,
  output: string,
  runtime = NAMED_RUNTIME,
): Promise<void> {
  const flags = ["--target", target, "--output", output, ...UNCHANGED, ...PERMISSIONS];
  try {
    await run([Deno.execPath(), "compile", ...flags, module], {
      env: runtime === undefined ? {} : { DENORT_BIN: runtime },
    });
  } catch (error) {
    if (!(error as Error).message.includes("dl.deno.land")) throw error;
    throw new Error(
      `Deno's base runtime for ${target} cannot be downloaded: compile where dl.deno.land can be reached, or bring ` +
        `https://dl.deno.land/release/v${Deno.version.deno}/denort-${target}.zip here, unpack it, and give the path of ` +
        "the program in it in the variable DENORT_BIN",
    );
  }
}

/** `deno compile` takes what DENORT_BIN names whatever the target. */
function requireRuntimeFor(target: Target, runtime: string): void {
  if (machineOf(runtime) !== MACHINES[target]) {
    throw new Error(`DENORT_BIN does not name a program for ${target}: "${runtime}"`);
  }
}

/** e_machine of an ELF file; null where there is no file to read. */
function machineOf(path: string): number | null {
  const header = new Uint8Array(20);
  try {
    using file = Deno.openSync(path);
    file.readSync(header);
  } catch {
    return null;
  }
  return new DataView(header.buffer).getUint16(18, true);
}

/** A runtime of another version than Deno's makes a file as well, but not one that works. */
async function examine(target: Target, file: string): Promise<void> {
  if (target !== Deno.build.target) return;
  const { stdout, stderr } = await run([await Deno.realPath(file), "--version"], { clearEnv: true, mayFail: true });
  if (stdout === `tcphup ${VERSION}\n`) return;
  await Deno.remove(file);
  throw new Error(
    `What was made does not work: is DENORT_BIN the runtime of Deno ${Deno.version.deno}? It says: ${stdout}${stderr}`,
  );
}

function wanted(): { target: Target; output: string } {
  const { target: name = Deno.build.target, output } = readArguments(Deno.args, { flags: ["target", "output"] });
  const target = TARGETS.find((target) => target === name);
  if (target === undefined) throw new UsageError(`Unknown target "${name}": expected ${TARGETS.join(" or ")}`);
  return { target, output: output ?? `${BUILD}tcphup-${target}` };
}

async function main(): Promise<void> {
  const { target, output } = wanted();
  await Deno.mkdir(BUILD, { recursive: true });
  await compile(target, output);
  const { size } = await Deno.stat(output);
  console.log(`${output}\n${(size / 1e6).toFixed(1)} MB, ${size} bytes\nSHA-256 ${sha256(output)}`);
}

if (import.meta.main) await main().catch(fail);
