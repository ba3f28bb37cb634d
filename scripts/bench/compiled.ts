// What the compiled program costs to start, beside one that does nothing.

import { compile, compileModule, type Target } from "../compile.ts";
import { median, repeat, time } from "./measure.ts";
import type { Row } from "./row.ts";

const TIMES = 31;

/** What it does before anything else: ways to start that touch no connection. */
const COMMANDS = [["--version"], ["--help"], ["plan"], ["ls", "127.0.0.77"], ["hup", "127.0.0.77", "9"]];

/** Compiles tcphup and an empty program, and starts them in turns. It needs Deno's base runtime: see compile.ts. */
export async function compiled(): Promise<Row[]> {
  const directory = await Deno.makeTempDir({ prefix: "tcphup-bench-" });
  const [ours, empty, module] = ["tcphup", "empty", "empty.js"].map((name) => `${directory}/${name}`);
  try {
    const target = Deno.build.target as Target;
    await compile(target, ours);
    await Deno.writeTextFile(module, "");
    await compileModule(module, target, empty);
    const megabytes = [ours, empty].map((file) => (Deno.statSync(file).size / 1e6).toFixed(1));
    const note = `${megabytes[0]} MB to ${megabytes[1]} MB`;
    const rows: Row[] = [];
    for (const command of COMMANDS) {
      const times = await repeat(TIMES, async () => [(await time([ours, ...command])).ms, (await time([empty])).ms]);
      const [ms, empty_ms] = [0, 1].map((which) => median(times.map((pair) => pair[which])));
      const name = `compiled, ${command.join(" ")}`;
      rows.push({ name, n: 1, median_ms: ms, against: "an empty program", ratio: ms / empty_ms, note });
    }
    return rows;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
