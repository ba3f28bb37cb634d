// What hanging up costs, beside `ss -K` on as many connections of the same kind.

import { median, repeat, type Run, run } from "./measure.ts";
import { TCPHUP } from "./paths.ts";
import { World } from "./world.ts";

/** A line of the benchmark's table. */
export interface Row {
  readonly name: string;
  /** Connections that match. */
  readonly n: number;
  readonly median_ms: number;
  /** What the median is compared with, and how it compares. */
  readonly against: string;
  readonly ratio: number;
  /** Where the time went, in the tool's own words. */
  readonly phases: string;
}

const PORT = 9000;
const OTHER_PORT = 9001;
const PROCESSES = 4;

async function inWorld(ports: Record<number, number>, command: readonly string[]): Promise<Run> {
  await using _world = await World.open(ports, PROCESSES);
  return await run(command);
}

const hup = [...TCPHUP, "hup", "127.0.0.1", String(PORT), "--verbose"];
const ssKill = ["ss", "-K", "-tn", "dst", "127.0.0.1", "dport", "=", `:${PORT}`];

function phases({ stderr }: Run): string {
  return /\d+ ms: (.*?);/.exec(stderr)?.[1] ?? "";
}

function middle(runs: readonly Run[]): Run {
  const ms = median(runs.map((run) => run.ms));
  return runs.find((run) => run.ms === ms)!;
}

/** All of `n` connections (each has two ends here, so half of the sockets match). */
export async function hangUpAll(n: number, times: number): Promise<Row> {
  const ours: Run[] = [];
  const theirs: Run[] = [];
  await repeat(times, async () => {
    ours.push(await inWorld({ [PORT]: n }, hup));
    theirs.push(await inWorld({ [PORT]: n }, ssKill));
  });
  const [our, their] = [middle(ours), middle(theirs)];
  return {
    name: "hang up on all",
    n,
    median_ms: our.ms,
    against: "ss -K",
    ratio: our.ms / their.ms,
    phases: phases(our),
  };
}

/** A few among many, beside a run that selects nothing. */
export async function hangUpFew(n: number, others: number, times: number): Promise<Row & { extra_ms: number }> {
  await using _world = await World.open({ [OTHER_PORT]: others }, PROCESSES);
  const empty = median(await repeat(times, async () => (await run([...hup.slice(0, -2), "9", "--verbose"])).ms));
  const runs = await repeat(times, async () => {
    await using _few = await World.open({ [PORT]: n }, 1);
    return await run(hup);
  });
  const our = middle(runs);
  const name = `hang up on ${n} of ${others * 2} sockets`;
  return {
    name,
    n,
    median_ms: our.ms,
    against: "selecting none",
    ratio: our.ms / empty,
    extra_ms: our.ms - empty,
    phases: phases(our),
  };
}
