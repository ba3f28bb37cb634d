// What it costs to start.

import { median, repeat, time } from "./measure.ts";
import { TCPHUP } from "./paths.ts";
import type { Row } from "./row.ts";

const TIMES = 15;

/** `tcphup --version` beside the runtime doing nothing. */
export async function startup(): Promise<Row[]> {
  const ours: number[] = [];
  const theirs: number[] = [];
  await repeat(TIMES, async () => {
    ours.push((await time([...TCPHUP, "--version"])).ms);
    theirs.push((await time([Deno.execPath(), "eval", "0"])).ms);
  });
  const ms = median(ours);
  return [{ name: "--version", n: 1, median_ms: ms, against: "deno eval 0", ratio: ms / median(theirs), note: "" }];
}
