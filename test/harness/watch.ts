// `tcphup keepalive --watch` in tests.

import { DEFAULTS } from "./keepalive.ts";
import { Lines } from "./lines.ts";
import type { Namespace, SpawnOptions } from "./namespace.ts";
import type { Connections } from "./peer.ts";
import { eventually } from "./process.ts";
import { TCPHUP } from "./tcphup.ts";

/** A watch that runs until it is told to end. */
export class Watch {
  readonly #child: Deno.ChildProcess;
  readonly #changes: Lines;
  readonly #complaints: Lines;

  constructor(netns: Namespace, args: readonly string[], options: SpawnOptions & { command?: readonly string[] } = {}) {
    const { command = TCPHUP, ...rest } = options;
    this.#child = netns.spawn([
      ...command,
      "keepalive",
      ...(args.includes("--watch") ? [] : ["--watch=100ms"]),
      ...args,
    ], rest);
    this.#changes = new Lines(this.#child.stdout);
    this.#complaints = new Lines(this.#child.stderr);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits for so many lines on standard output. */
  async lines(count: number): Promise<string[]> {
    return await this.#changes.next(count);
  }

  /** Waits for a line on standard error. */
  async complaint(): Promise<string> {
    return (await this.#complaints.next(1))[0]!;
  }

  /** Ends it. Returns the exit code, and what it has said that was not yet read. */
  async end(signal: Deno.Signal = "SIGTERM"): Promise<{ code: number; rest: string[]; complaints: string[] }> {
    this.#child.kill(signal);
    const [rest, complaints] = await Promise.all([this.#changes.rest(), this.#complaints.rest()]);
    const { code } = await this.#child.status;
    return { code, rest, complaints };
  }
}

/** Waits until the application finds that all its connections have the values. */
export async function untilSet(connections: Connections, values = DEFAULTS): Promise<void> {
  const wanted = JSON.stringify(connections.ports.map(() => values));
  await eventually(
    "keepalive on a later connection",
    async () => JSON.stringify(await connections.keepalive()) === wanted,
  );
}
