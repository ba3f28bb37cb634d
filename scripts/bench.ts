// The figures that README.md quotes, measured here and now: deno task bench [NAME...]
//
// Every measurement runs whole commands from start to exit, in a network namespace of its own (so it needs root), and is
// a ratio to something else that ran beside it: absolute times tell about the machine. Each NAME is a file in bench/.
// Without names it is all of them but `compiled`, for which Deno has to download a runtime, and `failover`,
// which takes minutes and what .ci/install installs.

import { UsageError } from "../src/model/errors.ts";
import { readArguments } from "./arguments.ts";
import { enterNewNamespace } from "./bench/namespace.ts";
import type { Row } from "./bench/row.ts";
import { fail } from "./tools.ts";

const BENCHMARKS: Record<string, () => Promise<Row[]>> = {
  startup: async () => (await import("./bench/startup.ts")).startup(),
  hup: async () => (await import("./bench/hup.ts")).hup(),
  connect: async () => (await import("./bench/connect.ts")).connect(),
  attach: async () => (await import("./bench/attach.ts")).attach(),
  bpf: async () => (await import("./bench/bpf.ts")).bpf(),
  watch: async () => (await import("./bench/watch.ts")).watch(),
  netns: async () => (await import("./bench/netns.ts")).netns(),
  dst_file: async () => (await import("./bench/dst_file.ts")).dstFile(),
  matching: async () => (await import("./bench/matching.ts")).matching(),
  compiled: async () => (await import("./bench/compiled.ts")).compiled(),
};

/** The one with tables of its own. */
const FAILOVER = "failover";

function milliseconds(ms: number): string {
  return ms < 10 ? ms.toPrecision(2) : ms.toFixed(0);
}

function format(row: Row): string[] {
  return [row.name, String(row.n), milliseconds(row.median_ms), row.ratio.toFixed(2), row.against, row.note];
}

function print(table: readonly string[][]): void {
  console.log(table.map((row) => `| ${row.join(" | ")} |\n`).join(""));
}

async function measure(names: readonly string[]): Promise<void> {
  const table = [["what", "N", "median ms", "ratio", "to", ""], ["---", "--:", "--:", "--:", "---", "---"]];
  for (const name of names.filter((name) => name !== FAILOVER)) {
    console.error(`measuring ${name} …`);
    await enterNewNamespace();
    table.push(...(await BENCHMARKS[name]!()).map(format));
  }
  if (table.length > 2) print(table);
  if (names.includes(FAILOVER)) (await (await import("./bench/failover.ts")).failover()).forEach(print);
}

async function main(): Promise<void> {
  const { _: names } = readArguments(Deno.args, { operands: "NAME..." });
  const known = [...Object.keys(BENCHMARKS), FAILOVER];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new UsageError(`Unknown benchmark "${unknown}": expected ${known.join(", ")}`);
  await measure(names.length > 0 ? names : Object.keys(BENCHMARKS).filter((name) => name !== "compiled"));
}

await main().catch(fail);
