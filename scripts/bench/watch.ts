// What it costs to watch when nothing happens: processor time a look of `tcphup keepalive --watch`.

import { lines } from "../lines.ts";
import { toCommand } from "../process.ts";
import { median, time } from "./measure.ts";
import { TCPHUP } from "./paths.ts";
import type { Row } from "./row.ts";
import { World } from "./world.ts";

const PORT = 9000;
const PROCESSES = 4;
const INTERVAL = "100ms";
/** In its first looks everything is set, and the runtime compiles what it runs often. */
const SHORT_S = 5;
const LONG_S = 15;
const TIMES = 3;

/** Clock ticks a second, as all of Linux's /proc has them: USER_HZ. */
const USER_HZ = 100;

/** The processor time that a process and its children have used, in milliseconds: utime and stime of proc(5). */
function processorTime_ms(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const own = (Number(fields[11]) + Number(fields[12])) * 1000 / USER_HZ;
  // The engine does the work.
  const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim().split(" ").filter(Boolean);
  return children.reduce((sum, child) => sum + processorTime_ms(Number(child)), own);
}

/** What a watch of some length took. */
interface Watched {
  readonly looks: number;
  /** Processor time, in milliseconds. */
  readonly ms: number;
}

/** Watches for so long. */
async function watchFor(seconds: number): Promise<Watched> {
  const command = [...TCPHUP, "keepalive", "any", `--watch=${INTERVAL}`, "--only-missing", "--verbose"];
  const process = toCommand(command, { stdout: "null", stderr: "piped" }).spawn();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const ms = processorTime_ms(process.pid);
  process.kill("SIGTERM");
  let last = "";
  for await (const line of lines(process.stderr)) last = line;
  const { code } = await process.status;
  const looks = Number(/looked (\d+) times/.exec(last)?.[1]);
  if (code !== 0 || Number.isNaN(looks)) throw new Error(`tcphup keepalive --watch exited with ${code}: ${last}`);
  return { looks, ms };
}

/** Processor time of one look: what a long watch took more than a short one, in which start and first looks are alike. */
async function lookTime_ms(): Promise<number> {
  const short = await watchFor(SHORT_S);
  const long = await watchFor(LONG_S);
  return (long.ms - short.ms) / (long.looks - short.looks);
}

/** `sockets` of them, both ends of each connection among them. */
async function idleLook(sockets: number): Promise<Row> {
  await using _world = await World.open({ [PORT]: sockets / 2 }, PROCESSES);
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let i = 0; i < TIMES; i++) {
    ours.push(await lookTime_ms());
    theirs.push((await time(["ss", "-tnH"])).ms);
  }
  const ms = median(ours);
  return {
    name: "a look of keepalive --watch, nothing new",
    n: sockets,
    median_ms: ms,
    against: "ss -tn",
    ratio: ms / median(theirs),
    note: `processor time; at one look a second ${(ms / 10).toFixed(1)} % of a processor`,
  };
}

/** Everything about watching. */
export async function watch(): Promise<Row[]> {
  return [await idleLook(10_000)];
}
