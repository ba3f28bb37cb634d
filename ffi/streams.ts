// The standard streams, which may have been inherited non-blocking, or have nobody at their other end who reads. The same
// for every backend, which brings the calls.

import type { NativeFunctions, NativeSymbols } from "./native.ts";

export const POLLIN = 1;
export const POLLOUT = 4;

/** What a backend does with its standard streams. */
export interface Backend {
  load<const S extends NativeSymbols>(symbols: S): NativeFunctions<S>;
  /** write(2). Returns how many bytes were taken. */
  write(stream: 1 | 2, bytes: Uint8Array): number;
  /** read(2) of standard input. Returns the bytes read, 0 at the end. */
  read(bytes: Uint8Array): number;
  /** Whether a call failed with EAGAIN. */
  isBlocked(error: unknown): boolean;
  /** Whether a call failed with EPIPE. */
  isBroken(error: unknown): boolean;
}

/** What a pipe takes at once without blocking, when poll(2) says that it takes anything: PIPE_BUF of pipe(7). */
const PIPE_BUF = 4096;

/** How long standard error may keep tcphup waiting, in all: what it does is not to depend on who can read about it. */
let patience_ms = 1000;

const encoder = new TextEncoder();

const POLL = { poll: { parameters: ["buffer", "usize", "i32"], result: "i32" } } as const;
let libc: NativeFunctions<typeof POLL> | undefined;

/** poll(2) of one stream. Returns whether one of `events`, an error or a hang-up is there, or a signal came first. */
function poll({ load }: Backend, stream: 0 | 1 | 2, events: number, timeout_ms: number): boolean {
  libc ??= load(POLL);
  return libc.poll(new Int32Array([stream, events]), 1n, timeout_ms) !== 0;
}

/** Whether standard error takes something, now or soon. */
function hasRoom(backend: Backend): boolean {
  const start = performance.now();
  try {
    return poll(backend, 2, POLLOUT, Math.ceil(patience_ms));
  } catch {
    // That libc cannot be loaded is perhaps what is to be said.
    return true;
  } finally {
    patience_ms = Math.max(0, patience_ms - (performance.now() - start));
  }
}

/** Writes all of `text`: see `host.write` of deno.ts. */
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
    if (stream === 2 || backend.isBroken(error)) return false;
    throw new Error(`Cannot write to standard output: ${(error as Error).message}`);
  }
}

/** Reads a line from standard input: see `host.readLine` of deno.ts. */
export function readLine(backend: Backend): string | null {
  const byte = new Uint8Array(1);
  const bytes: number[] = [];
  for (;;) {
    const count = whenReady(backend, 0, POLLIN, () => backend.read(byte));
    if (count === 0 && bytes.length === 0) return null;
    if (count === 0 || byte[0] === 10) return new TextDecoder().decode(new Uint8Array(bytes));
    bytes.push(byte[0]);
  }
}

/** What `transfer` returns once the stream is ready for it. */
function whenReady(backend: Backend, stream: 0 | 1, events: number, transfer: () => number): number {
  for (;;) {
    try {
      return transfer();
    } catch (error) {
      if (!backend.isBlocked(error)) throw error;
      poll(backend, stream, events, -1);
    }
  }
}
