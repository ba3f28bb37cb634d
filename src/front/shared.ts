// The memory that the two processes of a command share: what the one that works is at, and what it has done so far.

import { createMemfd, mapShared } from "../../ffi/memfd.ts";
import { readAt, writeAt } from "../../ffi/fs.ts";
import { EFBIG, SyscallError } from "../../ffi/errno.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { fileSizeLimit } from "../../ffi/process.ts";
import { type Activity, NOTES_SIZE } from "../../ffi/progress.ts";
import type { Connection } from "../model/connection.ts";

/** How the next engine is to go on. */
export const MODE = {
  /** From the beginning, or from where the one before it was stopped. */
  work: 0,
  /** Say what was done: it was interrupted. */
  interrupted: 1,
  /** Say what was done: it cannot be finished, since too many processes do not answer. */
  giveUp: 2,
  /** The same, since engines are killed. */
  killed: 3,
} as const;

/** What may stand in a line of the journal. */
export type Entry =
  | { readonly found: readonly Connection[] }
  | { readonly changed: number; readonly to: Partial<Connection> }
  | { readonly stuck: Activity; readonly at: number; readonly engine: number }
  | { readonly killed: Activity };

/** Where numbers of 32 bits stand behind the notes. */
const STARTED = 0;
const HEARD = 1;
const MODE_AT = 2;
const LENGTH = 3;

/** What both map: the notes and these numbers. */
const PAGE = 4096;
/** A byte for each connection that was found, up to so many. */
const MARKS = 1 << 20;
/** Where the journal, which is a file's text, begins. */
const JOURNAL = PAGE + MARKS;

/** The memory, in either process. */
export class Shared {
  readonly file: Descriptor;
  /** What the engine is at. */
  readonly notes: Uint8Array<ArrayBuffer>;
  /** What became of each connection that was found, as a number. */
  readonly marks: Uint8Array;
  readonly #numbers: Int32Array;
  #limit: bigint | undefined;

  /** Takes the memory that `file` is. */
  constructor(file: Descriptor) {
    const memory = mapShared(file, JOURNAL);
    this.file = file;
    this.notes = memory.subarray(0, NOTES_SIZE);
    this.#numbers = new Int32Array(memory.buffer, NOTES_SIZE, LENGTH + 1);
    this.marks = memory.subarray(PAGE);
  }

  /** Makes the memory; a child that is started has it too. @throws {SyscallError} */
  static create(): Descriptor {
    return createMemfd("tcphup", JOURNAL, true);
  }

  /** Whether an engine has come so far that it works. */
  get started(): boolean {
    return this.#numbers[STARTED] !== 0;
  }

  set started(value: boolean) {
    this.#numbers[STARTED] = value ? 1 : 0;
  }

  /** How many signals the engine has answered. */
  get heard(): number {
    return this.#numbers[HEARD];
  }

  hear(): void {
    this.#numbers[HEARD]++;
  }

  /** How the next engine is to go on: one of `MODE`. */
  get mode(): number {
    return this.#numbers[MODE_AT];
  }

  set mode(mode: number) {
    this.#numbers[MODE_AT] = mode;
  }

  /** How long the journal is, in bytes. */
  get length(): number {
    return this.#numbers[LENGTH];
  }

  /** Adds an entry to the journal. @throws {SyscallError} `EFBIG` where RLIMIT_FSIZE forbids it. */
  append(entry: Entry): void {
    const bytes = new TextEncoder().encode(JSON.stringify(entry) + "\n");
    this.#limit ??= fileSizeLimit().soft;
    if (this.#limit < BigInt(JOURNAL + this.length + bytes.length)) throw new SyscallError("pwrite", EFBIG);
    writeAt(this.file, bytes, BigInt(JOURNAL + this.length));
    this.#numbers[LENGTH] += bytes.length;
  }

  /** The entries of the journal. */
  entries(): Entry[] {
    const bytes = new Uint8Array(this.length);
    for (let read = 0; read < bytes.length;) {
      const count = readAt(this.file, bytes.subarray(read), BigInt(JOURNAL + read));
      if (count === 0) break;
      read += count;
    }
    return new TextDecoder().decode(bytes).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  }
}
