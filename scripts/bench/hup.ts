// What hanging up costs, beside `ss -K` on as many connections of the same kind, in the same run.

import { median, time, type Timed } from "./measure.ts";
import { enterNewNamespace } from "./namespace.ts";
import { TCPHUP } from "./paths.ts";
import type { Row } from "./row.ts";
import { World } from "./world.ts";

/** Where all servers are. */
const NETWORK = "127.0.0.0/24";
const PORT = 9000;
const OTHER_PORT = 9001;
/** Client processes, and as many servers. The shell's limit of descriptors is the limit of each. */
const PROCESSES = 4;
const MOST_OF_A_PROCESS = 10_000;
const TIMES = 7;
/** Opening so many connections takes longer than ending them. */
const TIMES_OF_MANY = 3;

const hupCommand = [...TCPHUP, "hup", NETWORK, String(PORT), "--verbose"];
const noneCommand = [...TCPHUP, "hup", NETWORK, "9", "--verbose"];
const listCommand = ["ss", "-tn", "dst", NETWORK, "dport", "=", `:${PORT}`];
const ssCommand = [...listCommand, "-K"];

/** Runs a command where nothing is but these connections. */
async function inNewWorld(n: number, command: readonly string[]): Promise<Timed> {
  await enterNewNamespace();
  await using _world = await World.open({ [PORT]: n }, processesFor(n));
  return await time(command);
}

/** Among how many client processes to spread connections. */
function processesFor(n: number): number {
  return Math.max(PROCESSES, Math.ceil(n / MOST_OF_A_PROCESS));
}

/** The run whose time is the median. */
function middle(runs: readonly Timed[]): Timed {
  const ms = median(runs.map((run) => run.ms));
  return runs.find((run) => run.ms === ms)!;
}

/** Where the time went, and the memory, as --verbose says it. */
function phases({ stderr }: Timed): string {
  return /\d+ ms: (.*?);/.exec(stderr)?.[1] ?? "";
}

function memory_kb({ stderr }: Timed): number {
  return Number(/(\d+) kB/.exec(stderr)?.[1]);
}

/** All of `n` connections. Each has both its ends here, so half of the sockets match. */
async function hangUpAll(n: number, times = TIMES): Promise<Row> {
  const ours: Timed[] = [];
  const theirs: Timed[] = [];
  for (let i = 0; i < times; i++) {
    ours.push(await inNewWorld(n, hupCommand));
    theirs.push(await inNewWorld(n, ssCommand));
  }
  const run = middle(ours);
  // Pair by pair, so that a machine whose speed drifts does not make the ratio.
  const ratio = median(ours.map(({ ms }, i) => ms / theirs[i]!.ms));
  const note = `${phases(run)}; ${(memory_kb(run) / 1024).toFixed(0)} MB of memory`;
  return { name: "hang up on all", n, median_ms: run.ms, against: "ss -K", ratio, note };
}

/** A few among many, beside a command that reads the same list. */
async function hangUpFew(n: number, sockets: number, against: string, other: readonly string[]): Promise<Row> {
  await enterNewNamespace();
  const rest = sockets / 2 - n;
  await using _world = await World.open({ [OTHER_PORT]: rest }, processesFor(rest));
  const ours: Timed[] = [];
  const theirs: Timed[] = [];
  for (let i = 0; i < TIMES; i++) {
    await using _few = await World.open({ [PORT]: n }, PROCESSES);
    theirs.push(await time(other));
    ours.push(await time(hupCommand));
  }
  const run = middle(ours);
  const ratio = median(ours.map(({ ms }, i) => ms / theirs[i]!.ms));
  const note = `${median(ours.map(({ ms }, i) => ms - theirs[i]!.ms)).toFixed(0)} ms more; ${phases(run)}`;
  return { name: `hang up on ${n} of ${sockets} sockets`, n, median_ms: run.ms, against, ratio, note };
}

/** How cost and memory grow with the number of connections. */
async function growth(few: number, many: number): Promise<Row> {
  const small: Timed[] = [];
  const large: Timed[] = [];
  for (let i = 0; i < 3; i++) {
    small.push(await inNewWorld(few, hupCommand));
    large.push(await inNewWorld(many, hupCommand));
  }
  const [a, b] = [middle(small), middle(large)];
  const bytes = (memory_kb(b) - memory_kb(a)) * 1024 / (many - few);
  return {
    name: "hang up on all",
    n: many,
    median_ms: b.ms,
    against: `the same per connection at ${few}`,
    ratio: b.ms / many / (a.ms / few),
    note: `${bytes.toFixed(0)} bytes of resident memory a connection; ${phases(b)}`,
  };
}

/** Everything about hanging up. */
export async function hup(): Promise<Row[]> {
  return [
    await hangUpAll(10_000),
    await hangUpAll(100_000, TIMES_OF_MANY),
    await hangUpFew(10, 50_000, "selecting none", noneCommand),
    await hangUpFew(10, 100_000, "ss listing them", listCommand),
    await growth(4_000, 40_000),
  ];
}
