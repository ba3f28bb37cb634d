// What it costs to look into every network namespace of a host, beside `ss -tn` in one that has as many sockets as all of
// them together. A dump takes the kernel through the connections of all namespaces, so 200 dumps take it 200 times as long
// as one that finds nothing.

import { Dialogue } from "../../test/harness/lines.ts";
import { median, repeat, time } from "./measure.ts";
import { TCPHUP } from "./paths.ts";
import type { Row } from "./row.ts";
import { World } from "./world.ts";

const NAMESPACES = 200;
const SOCKETS = 20_000;
const PROCESSES = 4;
const TIMES = 9;

/** An address that nothing is connected to. */
const NOBODY = "127.0.0.77";

/** Makes so many namespaces, with so many sockets in all: the two ends of each connection are in the same one. */
async function makeNamespaces(namespaces: number, sockets: number): Promise<Dialogue> {
  const counts = [namespaces, sockets / namespaces / 2, PROCESSES].map(String);
  const made = Dialogue.start(["python3", `${import.meta.dirname}/namespaces.py`, ...counts], "namespaces.py");
  await made.line();
  return made;
}

async function medianTime(command: readonly string[]): Promise<number> {
  return median(await repeat(TIMES, async () => (await time(command)).ms));
}

/** Selecting in all namespaces: a destination that nothing is connected to, and everything with its holders. */
export async function netns(): Promise<Row[]> {
  const all = ["--netns", "all"];
  let none_ms, dry_ms, list_ms;
  {
    await using _namespaces = await makeNamespaces(NAMESPACES, SOCKETS);
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
