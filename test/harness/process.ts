// Programs that a test runs to their end, and what is waited for.

import * as process from "../../scripts/process.ts";

export type { Output } from "../../scripts/process.ts";

/** What is waited for has come by then, unless something is broken. */
export const PATIENCE_MS = 180_000;

/** Runs a program to its end. Throws when it fails, unless it may, and when it does not end. */
export async function run(command: readonly string[], options: process.RunOptions = {}): Promise<process.Output> {
  return await process.run(command, { patience_ms: PATIENCE_MS, ...options });
}

/** Waits for the end of a program whose streams nobody else reads. */
export async function outputOf(child: Deno.ChildProcess, command: readonly string[]): Promise<process.Output> {
  return await process.outputOf(child, command, PATIENCE_MS);
}

/** The words of a command as sh(1) reads them. */
export function quote(command: readonly string[]): string {
  return command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}

/** Waits until `condition` gives something true, and returns that. */
export async function eventually<T>(what: string, condition: () => Promise<T | false> | T | false): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The words of a process's command line; none when it has gone. */
export function commandLine(pid: number): string[] {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
  } catch {
    return [];
  }
}
