// Whole commands, timed from start to exit.

import { toCommand } from "../process.ts";

/** A command's time and what it wrote to standard error. */
export interface Timed {
  readonly ms: number;
  readonly stderr: string;
}

/** Times a command. Its standard output is thrown away, so that nobody has to read it meanwhile. */
export async function time(command: readonly string[]): Promise<Timed> {
  const start = performance.now();
  const { success, code, stderr } = await toCommand(command, { stdout: "null", stderr: "piped" }).output();
  const ms = performance.now() - start;
  const text = new TextDecoder().decode(stderr);
  if (!success) throw new Error(`${command.join(" ")} exited with ${code}: ${text}`);
  return { ms, stderr: text };
}

/** The middle one. */
export function median(values: readonly number[]): number {
  const ascending = values.toSorted((a, b) => a - b);
  return ascending[Math.floor(ascending.length / 2)]!;
}

/** Runs something so often, one after the other. */
export async function repeat<T>(times: number, measure: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < times; i++) results.push(await measure());
  return results;
}
