// Connections to hang up on, in memory that several processes have mapped. Each takes the next few as soon as it has done
// the last, so that all are done at the same time, whichever of them the machine is slow for.
//
// {u32 count, u32 linger_ms, u32 stop, u32 next}, then for each {u32 pid, u32 fd, u32 cookie[2]}, then for each {u8 fate}. All
// in host order. Only `next` is written by several processes at once, atomically.

import type { Connection } from "../connection.ts";

const COUNT = 0;
const LINGER_MS = 1;
const STOP = 2;
const NEXT = 3;

const HEADER_SIZE = 16;
const ENTRY_SIZE = 16;

/** How many to take at once: few enough that nobody waits for the last, enough that taking costs nothing. */
const TAKEN_AT_ONCE = 32;

const WAITS = 0;
const DONE = 1;
const KEPT = 2;

/** How many bytes a queue of so many connections takes. */
export function queueSize(count: number): number {
  return HEADER_SIZE + count * (ENTRY_SIZE + 1);
}

/** A queue, read and written in place. */
export class Queue {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;

  /** @param bytes Memory of `queueSize`, whose address is a multiple of 4. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  }

  /** Writes what is to be done: connections with their first owners. */
  fill(connections: readonly Pick<Connection, "owners" | "cookie">[], linger_ms: number): void {
    this.#words[COUNT] = connections.length;
    this.#words[LINGER_MS] = linger_ms;
    this.#words[NEXT] = 0;
    let word = HEADER_SIZE / 4;
    for (const { owners, cookie } of connections) {
      this.#words[word] = owners[0].pid;
      this.#words[word + 1] = owners[0].fd;
      this.#words[word + 2] = parseInt(cookie.slice(-8), 16);
      this.#words[word + 3] = parseInt(cookie.slice(0, -8) || "0", 16);
      word += ENTRY_SIZE / 4;
    }
    this.#bytes.fill(WAITS, this.#fates, this.#fates + connections.length);
  }

  get count(): number {
    return this.#words[COUNT];
  }

  /** TCP_USER_TIMEOUT in milliseconds. */
  get linger_ms(): number {
    return this.#words[LINGER_MS];
  }

  /** Takes the next few, which nobody else gets then: from the first number up to, but without, the second. */
  take(): readonly [number, number] {
    const from = Math.min(Atomics.add(this.#words, NEXT, TAKEN_AT_ONCE), this.count);
    return [from, Math.min(from + TAKEN_AT_ONCE, this.count)];
  }

  /** Asks all to stop between two connections. */
  stop(): void {
    this.#words[STOP] = 1;
  }

  get isStopped(): boolean {
    return this.#words[STOP] === 1;
  }

  pid(i: number): number {
    return this.#words[this.#entry(i)];
  }

  fd(i: number): number {
    return this.#words[this.#entry(i) + 1];
  }

  /** The two words of the cookie, the lower one first. */
  cookie(i: number): readonly [number, number] {
    return [this.#words[this.#entry(i) + 2], this.#words[this.#entry(i) + 3]];
  }

  #entry(i: number): number {
    return (HEADER_SIZE + i * ENTRY_SIZE) / 4;
  }

  get #fates(): number {
    return HEADER_SIZE + this.count * ENTRY_SIZE;
  }

  /** Says that a connection was hung up on. */
  setDone(i: number): void {
    this.#bytes[this.#fates + i] = DONE;
  }

  isDone(i: number): boolean {
    return this.#bytes[this.#fates + i] === DONE;
  }

  /** Says that the process which filled the queue sees to a connection itself. */
  keep(i: number): void {
    this.#bytes[this.#fates + i] = KEPT;
  }

  isKept(i: number): boolean {
    return this.#bytes[this.#fates + i] === KEPT;
  }
}
