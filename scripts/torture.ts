// Tries to make tcphup lie, hang or harm: `deno task torture [--seconds N] [--part NAME] [--seed N] [--only CASE] [--jobs N]`,
// as root. Parts:
//
//   inject  every system call that tcphup makes fails, with every errno that it may fail with
//   mutate  what the kernel and people say is garbled
//   race    descriptors, processes and connections change hands while tcphup cuts
//   kill    signals come at random moments
//
// Each failure is one line, with the command that reproduces it. What is tortured is the compiled program that the variable
// TCPHUP names, or one that is compiled for it: of the sources, strace(1) cannot tell which calls are their own.

import { UsageError } from "../src/model/errors.ts";
import { Random } from "../test/select/random.ts";
import { readArguments } from "./arguments.ts";
import { compile, TARGETS } from "./compile.ts";
import { lines } from "./lines.ts";
import { BUILD, fail } from "./tools.ts";
import { add, emptyTally, type Part, type Said, type Tally, tryAll } from "./torture/part.ts";
import { PREPARE, World } from "./torture/world.ts";

/** What is compiled where TCPHUP names nothing. */
const PROGRAM = `${BUILD}tcphup-torture`;

/** The parts, and what share of the time each takes. */
const PARTS: Record<string, { share: number; open(file: string, only?: string): Promise<Part> }> = {
  inject: {
    share: 0.5,
    open: async (file, only) => {
      const { Injections } = await import("./torture/inject.ts");
      return Injections.open(await World.open(), file, only);
    },
  },
  mutate: {
    share: 0.1,
    open: async () => new (await import("./torture/mutate.ts")).Mutations(),
  },
  race: {
    share: 0.2,
    open: async (file) => new (await import("./torture/race.ts")).Races(file),
  },
  kill: {
    share: 0.2,
    open: async (file) => {
      const { Kills } = await import("./torture/kill.ts");
      return new Kills(await World.open(), file);
    },
  },
};

/** Returns the part of that name. @throws {UsageError} When there is none. */
function partNamed(name: string): (typeof PARTS)[string] {
  const part = PARTS[name];
  if (part === undefined) throw new UsageError(`No part "${name}": expected ${Object.keys(PARTS).join(", ")}`);
  return part;
}

interface Options {
  seconds: number;
  parts: readonly string[];
  seed: number;
  only?: string;
  jobs: number;
  /** Which of the jobs this process is: it lives in namespaces of its own. */
  worker?: number;
}

function readOptions(args: readonly string[]): Options {
  const values = readArguments(args, { flags: ["seconds", "part", "seed", "only", "jobs", "worker"] });
  const { part, only, worker } = values;
  if (part !== undefined) partNamed(part);
  if (only !== undefined && part === undefined) throw new UsageError("--only needs the --part that the case is of");
  return {
    seconds: number(values.seconds, "seconds", 600),
    parts: part === undefined ? Object.keys(PARTS) : [part],
    seed: number(values.seed, "seed", crypto.getRandomValues(new Uint32Array(1))[0]!),
    only,
    jobs: only === undefined ? number(values.jobs, "jobs", navigator.hardwareConcurrency) : 1,
    worker: worker === undefined ? undefined : Number(worker),
  };
}

function number(text: string | undefined, name: string, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (/^\d+$/.test(text) && Number(text) > 0) return Number(text);
  throw new UsageError(`Not a number for --${name}: "${text}": expected 1 or more`);
}

/** Tries this worker's share of the cases. What it has to say goes to standard output, a line of JSON each. */
async function work({ parts: [name = ""], seed, only, jobs, worker, seconds }: Options): Promise<void> {
  const file = await Deno.makeTempFile({ prefix: "tcphup-torture-" });
  try {
    await using part = await partNamed(name).open(file, only);
    const deadline = performance.now() + 1000 * seconds;
    const names = only === undefined ? share(part.names(new Random(seed)), worker!, jobs) : [only];
    await tryAll(part, names, only === undefined ? deadline : Infinity, (said) => console.log(JSON.stringify(said)));
  } finally {
    await Deno.remove(file);
  }
}

function* share(names: Iterable<string>, worker: number, jobs: number): Generator<string> {
  let i = 0;
  for (const name of names) if (i++ % jobs === worker) yield name;
}

/** After how long without a word a worker is taken to be stuck in what it tries. */
const SILENCE_MS = 90_000;

/** Starts a worker in namespaces of its own, and adds what it says to the tally. */
async function startWorker(options: Options, part: string, worker: number, tally: Tally): Promise<void> {
  const { seed, only, jobs, seconds } = options;
  const own = { part, seed, jobs, worker, seconds, ...(only === undefined ? {} : { only }) };
  const flags = Object.entries(own).map(([name, value]) => `--${name}=${value}`);
  // The shell stays, and buries what has lost its parents.
  const script = [...PREPARE, '"$@"; exit $?'].join(" && ");
  const self = [Deno.execPath(), "run", "-A", import.meta.filename!, ...flags];
  const child = new Deno.Command("unshare", {
    args: ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh", ...self],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  let trying: string | null = null;
  const giveUp = () => {
    tally.failed++;
    if (trying !== null) tell(part, seed, { kind: "failed", name: trying, wrong: ["it did not end"] });
    child.kill("SIGKILL");
  };
  let timer = setTimeout(giveUp, SILENCE_MS);
  for await (const line of lines(child.stdout)) {
    clearTimeout(timer);
    const said: Said = JSON.parse(line);
    trying = said.kind === "trying" ? said.name : null;
    if (said.kind === "tally") add(tally, said.tally);
    else if (said.kind !== "trying") tell(part, seed, said);
    if (said.kind !== "tally") timer = setTimeout(giveUp, SILENCE_MS);
  }
  clearTimeout(timer);
  const { success, signal } = await child.status;
  if (!success && signal === null) throw new Error(`a worker of part ${part} failed`);
}

function tell(part: string, seed: number, { kind, name, wrong }: Extract<Said, { wrong: unknown }>): void {
  const again = `deno task torture --part ${part} --only '${name}' --seed ${seed}`;
  console.log(`${kind}: ${wrong.join("; ").replaceAll("\n", "\\n")} (${again})`);
}

function describe(part: string, { tried, failed, unstable, missed, figures }: Tally): string {
  const others = Object.entries(figures).map(([name, count]) => `${count} ${name}`);
  const counts = [`${tried} tried`, `${failed} failed`, `${unstable} unstable`, `${missed} did not come about`];
  return `${part}: ${[...counts, ...others].join(", ")}`;
}

async function compileProgram(): Promise<void> {
  await Deno.mkdir(BUILD, { recursive: true });
  await compile(TARGETS.find((target) => target === Deno.build.target)!, PROGRAM);
  Deno.env.set("TCPHUP", PROGRAM);
}

/** Returns the exit code. */
async function torture(options: Options): Promise<number> {
  const program = Deno.env.get("TCPHUP");
  if (program === undefined) await compileProgram();
  else if (program.includes(" ")) throw new UsageError("TCPHUP has to name a compiled program");
  const total = options.parts.reduce((sum, part) => sum + partNamed(part).share, 0);
  let failed = 0;
  for (const part of options.parts) {
    const tally = emptyTally();
    const seconds = Math.ceil(options.seconds * partNamed(part).share / total);
    const workers = Array.from({ length: options.jobs }, (_, worker) => worker);
    await Promise.all(workers.map((worker) => startWorker({ ...options, seconds }, part, worker, tally)));
    console.log(describe(part, tally));
    failed += tally.failed;
  }
  console.log(`seed ${options.seed}: ${failed === 0 ? "no failure" : `${failed} failed`}`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) {
  try {
    const options = readOptions(Deno.args);
    if (options.worker !== undefined) await work(options);
    else Deno.exit(await torture(options));
  } catch (error) {
    if (error instanceof UsageError) fail(error);
    throw error;
  }
}
