// The memory that the front and its engines share: the notes of the engine's call, counters, marks, and the journal.

import { createMemfd, mapShared } from "../../ffi/memfd.ts";
import { readAt, writeAt } from "../../ffi/fs.ts";
import { EFBIG, SyscallError } from "../../ffi/errno.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { getrlimit, RLIMIT_FSIZE } from "../../ffi/process.ts";
import { type Activity, NOTES_SIZE } from "../../ffi/progress.ts";
import type { Target } from "../model/result.ts";

/** The ways in which the next engine may go on. */
export const MODE = {
  /** Do the work, or the rest of it. */
  work: 0,
  /** Report what was done: the command was interrupted. */
  interrupted: 1,
  /** Report what was done: too many processes do not answer. */
  giveUp: 2,
  /** Report what was done: engines are killed again and again. */
  killed: 3,
} as const;

/** A connection as it was found, with what was known of it then. */
export type Found = Omit<Target, "place">;

/** An entry of the journal, which is JSON in a line. */
export type Entry =
  | { readonly found: readonly Found[] }
  | { readonly changed: readonly number[]; readonly to: object }
  | { readonly stuck: Activity; readonly at: number; readonly engine: number }
  | { readonly killed: Activity }
  | { readonly live: readonly string[] }
  | { readonly linked: { readonly pid: number; readonly fd: number; readonly id: number } }
  | { readonly armed: { readonly pid: number; readonly fd: number; readonly at: number } };

/** The indices of the numbers of 32 bits after the notes. */
const STARTED = 0;
const HEARD = 1;
const MODE_AT = 2;
const LENGTH = 3;
const BEGAN = 4;

/** The size of the notes and these numbers, in bytes. */
const PAGE = 4096;
/** The number of marks, which take a byte for each connection that was found. */
const MARKS = 1 << 20;
/** The offset of the journal in the file. */
const JOURNAL = PAGE + MARKS;
const NEWLINE = 10;

/** The shared memory, in the front or in an engine. */
export class Shared {
  readonly file: Descriptor;
  /** The notes of the engine's call: progress.ts. */
  readonly notes: Uint8Array<ArrayBuffer>;
  /** The mark of each connection that was found: journal.ts. */
  readonly marks: Uint8Array;
  readonly #numbers: Int32Array;
  #limit: bigint | undefined;

  /** Maps the memory that `create` has made. */
  constructor(file: Descriptor) {
    const memory = mapShared(file, JOURNAL);
    this.file = file;
    this.notes = memory.subarray(0, NOTES_SIZE);
    this.#numbers = new Int32Array(memory.buffer, NOTES_SIZE, BEGAN + 1);
    this.marks = memory.subarray(PAGE);
  }

  /** Creates the memory as a file, whose descriptor children inherit. @throws {SyscallError} */
  static create(): Descriptor {
    return createMemfd("tcphup", JOURNAL, true);
  }

  /** True when an engine has got as far as to work. */
  get started(): boolean {
    return this.#numbers[STARTED] !== 0;
  }

  set started(value: boolean) {
    this.#numbers[STARTED] = value ? 1 : 0;
  }

  /** The number of signals that engines have received. */
  get heard(): number {
    return this.#numbers[HEARD]!;
  }

  hear(): void {
    this.#numbers[HEARD]!++;
  }

  /** The way in which the next engine is to go on: one of `MODE`. */
  get mode(): number {
    return this.#numbers[MODE_AT]!;
  }

  set mode(mode: number) {
    this.#numbers[MODE_AT] = mode;
  }

  /** The time at which the first engine began to work: the lower 32 bits of Date.now(). */
  get began(): number {
    return this.#numbers[BEGAN]!;
  }

  set began(time: number) {
    this.#numbers[BEGAN] = time;
  }

  /** The length of the journal, in bytes. */
  get length(): number {
    return this.#numbers[LENGTH]!;
  }

  /** Takes off the end of the journal what is beyond `length`. */
  truncate(length: number): void {
    this.#numbers[LENGTH] = length;
  }

  /** Adds an entry to the journal. @throws {SyscallError} `EFBIG` when RLIMIT_FSIZE forbids it. */
  append(entry: Entry): void {
    const line = new TextEncoder().encode(`${JSON.stringify(entry)}\n`);
    const end = JOURNAL + this.length;
    this.#limit ??= getrlimit(RLIMIT_FSIZE).soft;
    if (this.#limit < BigInt(end + line.length)) throw new SyscallError("pwrite", EFBIG);
    writeAt(this.file, line, BigInt(end));
    // What is beyond the length is no part of the journal: an entry is there whole or not at all.
    this.#numbers[LENGTH] = end + line.length - JOURNAL;
  }

  /** Reads the journal. */
  entries(): Entry[] {
    const bytes = new Uint8Array(this.length);
    for (let read = 0; read < bytes.length;) {
      const count = readAt(this.file, bytes.subarray(read), BigInt(JOURNAL + read));
      if (count === 0) break;
      read += count;
    }
    const decoder = new TextDecoder();
    const entries: Entry[] = [];
    for (let at = 0, end; (end = bytes.indexOf(NEWLINE, at)) !== -1; at = end + 1) {
      entries.push(JSON.parse(decoder.decode(bytes.subarray(at, end))));
    }
    return entries;
  }
}
