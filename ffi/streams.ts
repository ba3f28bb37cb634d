// The standard streams, which may be non-blocking or have a reader that does not read. A backend provides the calls.

import type { NativeFunctions, NativeSymbols } from "./native.ts";

export const POLLIN = 1;
export const POLLOUT = 4;

/** The calls on the standard streams that a backend provides. */
export interface Backend {
  load<const S extends NativeSymbols>(symbols: S): NativeFunctions<S>;
  /** write(2). Returns how many bytes were taken. */
  write(stream: 1 | 2, bytes: Uint8Array): number;
  /** read(2) of standard input. Returns the bytes read, 0 at the end. */
  read(bytes: Uint8Array): number;
}

/** Returns the errno's name of a call of a backend that failed: both runtimes give their errors such a code. */
function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

/** The bytes that a pipe takes without blocking when poll(2) reports POLLOUT: PIPE_BUF of pipe(7). */
export const PIPE_BUF = 4096;

/** The time that tcphup waits for a reader of standard error, in all: its work must not depend on one. */
let patienceMs = 1000;

const encoder = new TextEncoder();

const POLL = { poll: { parameters: ["buffer", "usize", "i32"], result: "i32" } } as const;
let libc: NativeFunctions<typeof POLL> | undefined;

/** poll(2) of one stream. Returns false only when the time is over. */
function poll({ load }: Backend, stream: 0 | 1 | 2, events: number, timeoutMs: number): boolean {
  libc ??= load(POLL);
  return libc.poll(new Int32Array([stream, events]), 1n, timeoutMs) !== 0;
}

/** Returns whether standard error takes a write, now or within what is left of the patience. */
function hasRoom(backend: Backend): boolean {
  const start = performance.now();
  try {
    return poll(backend, 2, POLLOUT, Math.ceil(patienceMs));
  } catch {
    // The message may be that libc cannot be loaded.
    return true;
  } finally {
    patienceMs = Math.max(0, patienceMs - (performance.now() - start));
  }
}

/** Implements `host.write` of deno.ts. */
export function writeAll(backend: Backend, stream: 1 | 2, text: string): boolean {
  let bytes = encoder.encode(text);
  try {
    while (bytes.length > 0) {
      if (stream === 1) bytes = bytes.subarray(whenReady(backend, 1, POLLOUT, () => backend.write(1, bytes)));
      else if (hasRoom(backend)) bytes = bytes.subarray(backend.write(2, bytes.subarray(0, PIPE_BUF)));
      else return false;
    }
    return true;
  } catch (error) {
    if (stream === 2 || codeOf(error) === "EPIPE") return false;
    throw new Error(`Cannot write to standard output: ${(error as Error).message}`);
  }
}

/** Implements `host.readLine` of deno.ts. */
export function readLine(backend: Backend): string | null {
  const byte = new Uint8Array(1);
  const bytes: number[] = [];
  for (;;) {
    const count = whenReady(backend, 0, POLLIN, () => backend.read(byte));
    if (count === 0 && bytes.length === 0) return null;
    if (count === 0 || byte[0] === 10) return new TextDecoder().decode(new Uint8Array(bytes));
    bytes.push(...byte);
  }
}

/** Repeats `transfer` until the stream is ready. Returns its result. */
function whenReady(backend: Backend, stream: 0 | 1, events: number, transfer: () => number): number {
  for (;;) {
    try {
      return transfer();
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") throw error;
      poll(backend, stream, events, -1);
    }
  }
}
