// tcphup as its users start it: from its sources with Deno, or as the environment variable TCPHUP says: the path of the
// compiled program, or a command whose words have a space in between, such as one that starts the sources with Node.
// TCPHUP_COMPILED names the compiled program for those tests that are about it, TCPHUP_AARCH64 the one for aarch64.

import { assert } from "@std/assert";
import type { JsonDocument } from "../../src/cli/output/json.ts";
import type { HangUpReport } from "../../src/report/report.ts";
import { ENGINE } from "../../src/front/command.ts";
import type { Namespace, SpawnOptions } from "./namespace.ts";
import { commandLine, eventually, type Output, outputOf, run } from "./process.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const given = Deno.env.get("TCPHUP")?.split(" ") as [string, ...string[]] | undefined;

/** The compiled program, when that is what is tested. */
export const COMPILED: string | undefined = given?.length === 1 ? await Deno.realPath(given[0]) : undefined;

/** The compiled program for tests that are about it alone, whatever the others test. */
export const BINARY: string | undefined = Deno.env.get("TCPHUP_COMPILED") ?? COMPILED;

/** The program that was compiled for aarch64, to be tested on another machine. */
export const AARCH64: string | undefined = Deno.env.get("TCPHUP_AARCH64");

/** The flags of V8 in the first line of cli.ts. With others Deno would compile what it has kept anew, each time. */
const [V8_FLAGS] = /--v8-flags=\S+/.exec(await Deno.readTextFile(`${ROOT}cli.ts`))!;

/** The command that starts tcphup, whatever the current directory. */
export const TCPHUP: readonly [string, ...string[]] = COMPILED
  ? [COMPILED]
  : given ?? [Deno.execPath(), "run", "--quiet", "--allow-ffi", V8_FLAGS, `${ROOT}cli.ts`];

/** What tcphup left behind. */
export class Run implements Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;

  constructor({ code, stdout, stderr }: Output) {
    this.code = code;
    this.stdout = stdout;
    this.stderr = stderr;
  }

  /** Standard output as JSON, the document of `--json` unless said otherwise. */
  json<T = HangUpReport>(): JsonDocument<T> {
    try {
      return JSON.parse(this.stdout);
    } catch {
      throw new Error(`no JSON, but exit ${this.code} and: ${this.stdout}${this.stderr}`);
    }
  }

  /** The outcome of each connection, in the order of the report. */
  outcomes(): (string | null)[] {
    return this.json().connections.map(({ outcome }) => outcome);
  }
}

/** Fails unless tcphup ended with this status and, so that a failure explains itself, shows what it said instead. */
export function assertExit(run: Run, code: number): void {
  assert(run.code === code, `exit ${run.code} instead of ${code}: ${run.stdout}${run.stderr}`);
}

export interface TcphupOptions extends SpawnOptions {
  netns: Namespace;
  /** How tcphup is started, where it differs from `TCPHUP`. */
  command?: readonly string[];
  /** The exit status that is expected; any when left out. */
  code?: number;
}

/** Runs tcphup to its end. */
export async function tcphup(
  args: readonly string[],
  { netns, command = TCPHUP, code, ...options }: TcphupOptions,
): Promise<Run> {
  const run = new Run(await netns.run([...command, ...args], options));
  if (code !== undefined) assertExit(run, code);
  return run;
}

/** tcphup while it runs. */
export class Running {
  readonly #child: Deno.ChildProcess;

  constructor(args: readonly string[], { netns, command = TCPHUP, ...options }: Omit<TcphupOptions, "code">) {
    this.#child = netns.spawn([...command, ...args], options);
  }

  get pid(): number {
    return this.#child.pid;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits for its end. Fails unless that is with this status, if one is given. */
  async end(code?: number): Promise<Run> {
    const run = new Run(await outputOf(this.#child, ["tcphup"]));
    if (code !== undefined) assertExit(run, code);
    return run;
  }
}

/** The process that does what a tcphup was asked for, once there is one: its engine, see src/front/front.ts. */
export async function engineOf(pid: number): Promise<number> {
  return await eventually(`an engine of ${pid}`, async () => {
    const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
    return children.trim().split(" ").map(Number).find((child) => commandLine(child).includes(ENGINE)) ?? false;
  });
}

/** Flags with which Deno reads no configuration and fetches nothing. */
const NOTHING_ELSE = ["--no-config", "--no-lock", "--no-npm", "--no-remote"];

/** tcphup in a place of its own, where every user of the host may run it. Its fields are options of `tcphup`. */
export class PublicCopy implements AsyncDisposable {
  readonly command: readonly string[];
  readonly env: Record<string, string>;
  readonly cwd: string;

  private constructor(directory: string) {
    const [, ...args] = TCPHUP;
    this.command = given
      ? [`${directory}/program`, ...args.map((arg) => arg.replace(ROOT, `${directory}/`))]
      : [`${directory}/program`, "run", ...NOTHING_ELSE, "--allow-ffi", `${directory}/cli.ts`];
    this.env = { HOME: directory, DENO_DIR: `${directory}/deno_dir` };
    this.cwd = directory;
  }

  static async make(): Promise<PublicCopy> {
    const directory = await Deno.makeTempDir({ prefix: "tcphup-test-" });
    await Deno.mkdir(`${directory}/deno_dir`);
    await Deno.copyFile(TCPHUP[0], `${directory}/program`);
    if (!COMPILED) await copySources(directory);
    await run(["chmod", "-R", "a+rX", directory]);
    await run(["chmod", "-R", "a+w", `${directory}/deno_dir`]);
    return new PublicCopy(directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A supervisor that ends may still write to Deno's cache.
    await eventually(
      "the end of who writes there",
      () => Deno.remove(this.cwd, { recursive: true }).then(() => true, () => false),
    );
  }
}

/** Copies the program, which imports nothing from elsewhere. */
async function copySources(directory: string): Promise<void> {
  const parts = ["deno.json", "cli.ts", "src", "ffi", ...(given ? ["scripts/node", "build/node"] : [])];
  await run(["cp", "-r", "--parents", ...parts, directory], { cwd: ROOT });
}
