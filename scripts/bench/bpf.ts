// What is done in the kernel with BPF, beside the same without: finding holders, and keepalive of many connections.

import { median, time, type Timed } from "./measure.ts";
import { enterNewNamespace } from "./namespace.ts";
import { TCPHUP } from "./paths.ts";
import type { Row } from "./row.ts";
import { World } from "./world.ts";

const PORT = 9000;
const OTHER_PORT = 9001;
const PROCESSES = 4;
const TIMES = 7;
const WITHOUT = "--no-bpf";

/** Times pairs of runs, with BPF and without. Each run gets a number of its own. */
async function compare(command: (run: number) => readonly string[]): Promise<[with_: Timed[], without: Timed[]]> {
  const [ours, theirs]: [Timed[], Timed[]] = [[], []];
  for (let i = 0; i < TIMES; i++) {
    ours.push(await time([...TCPHUP, ...command(2 * i)]));
    theirs.push(await time([...TCPHUP, ...command(2 * i + 1), WITHOUT]));
  }
  return [ours, theirs];
}

function row(name: string, n: number, [ours, theirs]: [Timed[], Timed[]], note = ""): Row {
  // Pair by pair, so that a machine whose speed drifts does not make the ratio.
  const ratio = median(ours.map(({ ms }, i) => ms / theirs[i]!.ms));
  return { name, n, median_ms: median(ours.map(({ ms }) => ms)), against: WITHOUT, ratio, note };
}

/** Returns the median time of a phase, as --verbose says it. */
function phase_ms(name: string, runs: readonly Timed[]): number {
  return median(runs.map(({ stderr }) => Number(new RegExp(`\\b${name} (\\d+)`).exec(stderr)?.[1])));
}

function phaseNote(name: string, [ours, theirs]: [Timed[], Timed[]]): string {
  const [with_, without] = [phase_ms(name, ours), phase_ms(name, theirs)];
  return `${name}: ${with_} ms, without ${without} ms`;
}

/** Keepalive of all sockets: both ends of each connection. */
async function keepalive(sockets: number): Promise<Row[]> {
  await enterNewNamespace();
  await using _world = await World.open({ [PORT]: sockets / 2 }, PROCESSES);
  // Each run sets another value, so that it has something to do.
  const set = await compare((run) => ["keepalive", "any", `--idle=${100 + run}`, "--verbose"]);
  const read = await compare(() => ["ls", "any", "--keepalive", "--json"]);
  return [
    row("set keepalive on all", sockets, set, phaseNote("act", set)),
    row("list all with their keepalive", sockets, read),
  ];
}

/** Who holds a few connections, among many descriptors. */
async function holders(few: number, sockets: number): Promise<Row> {
  await enterNewNamespace();
  await using _world = await World.open({ [OTHER_PORT]: sockets / 2 - few, [PORT]: few }, PROCESSES);
  const found = await compare(() => ["hup", "any", `${PORT}`, "--dry-run", "--verbose"]);
  return row(`all holders of ${few} among ${sockets} sockets`, few, found, phaseNote("resolve", found));
}

/** Everything about BPF programs that run once. */
export async function bpf(): Promise<Row[]> {
  return [...await keepalive(20_000), await holders(10, 20_000), await holders(10, 100_000)];
}
