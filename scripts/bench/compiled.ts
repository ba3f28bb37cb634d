// What the compiled program costs to start, beside one that does nothing.

import { compile, compileModule, type Target } from "../compile.ts";
import { median, repeat, time } from "./measure.ts";
import type { Row } from "./row.ts";
import { World } from "./world.ts";

const TIMES = 31;
const PORT = 9000;
const CONNECTIONS = 10;

/** What it does before anything else: ways to start that touch no connection. */
const STARTS = [["--version"], ["--help"], ["plan"], ["ls", "127.0.0.77"], ["hup", "127.0.0.77", "9"]];
/** Hangs up on all connections. */
const HUP = ["hup", "127.0.0.0/24", `${PORT}`];

/** Compiles tcphup and an empty program, and starts them in turns. It needs Deno's base runtime: see compile.ts. */
export async function compiled(): Promise<Row[]> {
  const directory = await Deno.makeTempDir({ prefix: "tcphup-bench-" });
  const [ours, empty, module] = [`${directory}/tcphup`, `${directory}/empty`, `${directory}/empty.js`];
  try {
    const target = Deno.build.target as Target;
    await compile(target, ours);
    await Deno.writeTextFile(module, "");
    await compileModule(module, target, empty);
    const megabytes = (file: string) => `${(Deno.statSync(file).size / 1e6).toFixed(1)} MB`;
    const note = `${megabytes(ours)} to ${megabytes(empty)}`;
    const rows: Row[] = [];
    for (const command of [...STARTS, HUP]) {
      const n = command === HUP ? CONNECTIONS : 0;
      const pairs = await repeat(TIMES, async () => {
        await using _world = n === 0 ? null : await World.open({ [PORT]: n }, 2);
        return { ours: await time([ours, ...command]), empty: await time([empty]) };
      });
      const ms = median(pairs.map(({ ours }) => ours.ms));
      const empty_ms = median(pairs.map(({ empty }) => empty.ms));
      const name = `compiled, ${command.join(" ")}`;
      rows.push({ name, n, median_ms: ms, against: "an empty program", ratio: ms / empty_ms, note });
    }
    return rows;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
