// The figures that README.md quotes, measured here and now: deno task bench [NAME...]
//
// Every measurement runs whole commands from start to exit, in a network namespace of its own (so it needs root), and is
// a ratio to something else that ran beside it: absolute times tell about the machine. Each NAME is a file in bench/.

import type { Row } from "./bench/row.ts";

const BENCHMARKS: Record<string, () => Promise<Row[]>> = {
  startup: async () => (await import("./bench/startup.ts")).startup(),
  hup: async () => (await import("./bench/hup.ts")).hup(),
  connect: async () => (await import("./bench/connect.ts")).connect(),
  watch: async () => (await import("./bench/watch.ts")).watch(),
  netns: async () => (await import("./bench/netns.ts")).netns(),
  dst_file: async () => (await import("./bench/dst_file.ts")).dstFile(),
  matching: async () => (await import("./bench/matching.ts")).matching(),
};

/**
 * Measures one of them in a namespace of its own: in the host's the figures would be about its traffic. What connections
 * leave behind for a minute (TIME-WAIT) goes with the namespace; each dump of the next one would come across it.
 *
 * @returns Rows of a table.
 */
async function measureApart(name: string): Promise<string> {
  const script = import.meta.filename!;
  const setup = 'ip link set lo up && sysctl -qw net.ipv4.ip_local_port_range="10000 65535" && exec "$@"';
  const { success, stdout } = await new Deno.Command("unshare", {
    args: ["-n", "sh", "-c", setup, "sh", Deno.execPath(), "run", "-A", script, "--here", name],
    stderr: "inherit",
  }).output();
  if (!success) Deno.exit(1);
  return new TextDecoder().decode(stdout);
}

function milliseconds(ms: number): string {
  return ms < 10 ? ms.toPrecision(2) : ms.toFixed(0);
}

function format(row: Row): string[] {
  return [row.name, String(row.n), milliseconds(row.median_ms), row.ratio.toFixed(2), row.against, row.note];
}

function print(...rows: string[][]): void {
  for (const row of rows) console.log(`| ${row.join(" | ")} |`);
}

async function measureAll(names: readonly string[]): Promise<void> {
  const unknown = names.find((name) => !(name in BENCHMARKS));
  if (unknown !== undefined) {
    console.error(`no benchmark "${unknown}": expected ${Object.keys(BENCHMARKS).join(", ")}`);
    Deno.exit(2);
  }
  const parts: string[] = [];
  for (const name of names) {
    console.error(`measuring ${name} …`);
    parts.push(await measureApart(name));
  }
  print(["what", "N", "median ms", "ratio", "to", ""], ["---", "--:", "--:", "--:", "---", "---"]);
  for (const part of parts) console.log(part.trimEnd());
}

const [first, name] = Deno.args;
if (first === "--here") print(...(await BENCHMARKS[name]()).map(format));
else await measureAll(Deno.args.length > 0 ? Deno.args : Object.keys(BENCHMARKS));
