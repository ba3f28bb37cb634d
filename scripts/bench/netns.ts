// What it costs to look into every network namespace of a host, beside `ss -tn` in one that has as many sockets as all of
// them together. A dump takes the kernel through the connections of all namespaces, so 200 dumps take it 200 times as long
// as one that finds nothing.

import { lines } from "../lines.ts";
import { median, repeat, time } from "./measure.ts";
import { fromFileUrl, TCPHUP } from "./paths.ts";
import type { Row } from "./row.ts";
import { World } from "./world.ts";

const NAMESPACES = 200;
const SOCKETS = 20_000;
const PROCESSES = 4;
const TIMES = 9;

/** An address that nothing is connected to. */
const NOBODY = "127.0.0.77";

/** Namespaces that last until they are disposed of. */
class Namespaces implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  /** Makes so many, with so many sockets in all: the two ends of each connection are in the same one. */
  static async make(namespaces: number, sockets: number): Promise<Namespaces> {
    const script = fromFileUrl(new URL("./namespaces.py", import.meta.url));
    const counts = [namespaces, sockets / namespaces / 2, PROCESSES].map(String);
    const child = new Deno.Command("python3", { args: [script, ...counts], stdin: "piped", stdout: "piped" }).spawn();
    for await (const line of lines(child.stdout)) if (line === "ready") return new Namespaces(child);
    throw new Error("the namespaces of the benchmark could not be made");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    await this.#child.status;
  }
}

async function medianTime(command: readonly string[]): Promise<number> {
  return median(await repeat(TIMES, async () => (await time(command)).ms));
}

/** Selecting in all namespaces: a destination that nothing is connected to, and everything with its holders. */
export async function netns(): Promise<Row[]> {
  const all = ["--netns", "all"];
  let none_ms, dry_ms, list_ms;
  {
    await using _namespaces = await Namespaces.make(NAMESPACES, SOCKETS);
    none_ms = await medianTime([...TCPHUP, "hup", NOBODY, ...all, "--dry-run"]);
    dry_ms = await medianTime([...TCPHUP, "hup", "any", ...all, "--dry-run"]);
    list_ms = await medianTime([...TCPHUP, "ls", "any", ...all]);
  }
  await using _world = await World.open({ 9000: SOCKETS / 2 }, PROCESSES);
  const ss_ms = await medianTime(["ss", "-tn"]);
  const holders_ms = await medianTime(["ss", "-tnp"]);
  const row = (name: string, ms: number, note: string): Row => {
    return { name, n: SOCKETS, median_ms: ms, against: "ss -tn in one namespace", ratio: ms / ss_ms, note };
  };
  const processors = `${navigator.hardwareConcurrency} processors`;
  const holders = `with holders, as ss -tnp, which takes ${holders_ms.toFixed(0)} ms; ${processors}`;
  return [
    row(`select in ${NAMESPACES} namespaces`, none_ms, processors),
    row(`hup any --dry-run in ${NAMESPACES} namespaces`, dry_ms, holders),
    row(`ls any in ${NAMESPACES} namespaces`, list_ms, holders),
  ];
}
