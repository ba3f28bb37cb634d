// Standard output and standard error of the engine, where they are pipes or sockets. An engine that is left behind keeps its
// descriptors open, and whoever reads to the end of such a stream would wait for it: so it has a pipe of the front's instead.

import { host } from "../../ffi/deno.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { read, statx, write } from "../../ffi/fs.ts";
import { Descriptor, pipe } from "../../ffi/descriptor.ts";
import { poll, POLLIN, POLLOUT } from "../../ffi/poll.ts";

/** From <linux/stat.h>: what a reader can wait for the end of. */
const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
const S_IFSOCK = 0o140000;

/** What a pipe takes without blocking when poll(2) says that it takes anything: PIPE_BUF of pipe(7). */
const PIPE_BUF = 4096;
/** How much is handed on before signals get their turn. */
const TURN = 1 << 20;
/** How often in a row it may fail to ask what is there, or to read it: what a host is short of passes. */
const MOST_FAILURES = 10;
/** How long standard error, and after a signal any stream, may go unread before what is written there is thrown away. */
const PATIENCE_MS = 1000;

const buffer = new Uint8Array(64 * 1024);

/** A pipe from the engine, and the stream that it leads to. */
export class Relay {
  readonly streams: readonly (1 | 2)[];
  readonly #target: Descriptor;
  #source: Descriptor;
  #engineEnd: Descriptor;
  #pending = new Uint8Array(0);
  #blockedSince: number | null = null;
  #isHurried = false;
  #failures = 0;

  constructor(streams: readonly (1 | 2)[]) {
    this.streams = streams;
    this.#target = new Descriptor(streams[0]);
    [this.#source, this.#engineEnd] = pipe();
  }

  /** What the engine is to have as which stream. */
  get outputs(): (readonly [Descriptor, 1 | 2])[] {
    return this.streams.map((stream) => [this.#engineEnd, stream] as const);
  }

  /** To be called when the engine has got its end. */
  started(): void {
    this.#engineEnd.close();
  }

  /** Whether there may be more to hand on. */
  get isOpen(): boolean {
    return this.#source.number !== -1;
  }

  /** What is to be waited for, as a `struct pollfd` in two numbers. */
  get awaited(): [fd: number, events: number] {
    return this.#pending.length > 0 ? [this.#target.number, POLLOUT] : [this.#source.number, POLLIN];
  }

  /**
   * Hands on what is there, as far as it is taken. Returns whether that is all that there is for now.
   *
   * @throws {SyscallError} When what is there cannot be read, however often it is tried.
   */
  pump(): boolean {
    try {
      for (let passed = 0; passed < TURN && this.isOpen;) {
        if (this.#pending.length > 0 && !this.#flush()) return false;
        if (poll(this.#source.number, POLLIN, 0) === 0) return true;
        const length = read(this.#source, buffer);
        this.#failures = 0;
        if (length === 0) this.close();
        this.#pending = buffer.slice(0, length);
        passed += length;
      }
      return !this.isOpen;
    } catch (error) {
      if (!isSyscallError(error) || ++this.#failures > MOST_FAILURES) throw error;
      return false;
    }
  }

  /** Waits no longer than a second for a reader from now on: whoever sends a signal wants the command to end. */
  hurry(): void {
    this.#isHurried = true;
  }

  /** Hands on what was left when the engine ended, or was left behind. */
  async drain(): Promise<void> {
    for (;;) {
      const isAll = this.pump();
      if (!this.isOpen || (isAll && this.#pending.length === 0)) return this.close();
      await host.poll(new Int32Array(this.awaited), PATIENCE_MS);
    }
  }

  /** Returns whether nothing is pending any more. */
  #flush(): boolean {
    while (this.#pending.length > 0) {
      if (poll(this.#target.number, POLLOUT, 0) === 0) return this.#isPatient() ? false : this.#drop();
      this.#blockedSince = null;
      if (!this.#write()) return false;
    }
    return true;
  }

  #write(): boolean {
    try {
      this.#pending = this.#pending.subarray(write(this.#target, this.#pending.subarray(0, PIPE_BUF)));
      return true;
    } catch (error) {
      if (isSyscallError(error, "EAGAIN")) return false;
      if (!isSyscallError(error)) throw error;
      // The reader has gone, which the engine is to notice.
      this.close();
      return false;
    }
  }

  #isPatient(): boolean {
    if (this.streams[0] === 1 && !this.#isHurried) return true;
    const now = performance.now();
    this.#blockedSince ??= now;
    return now - this.#blockedSince < PATIENCE_MS;
  }

  #drop(): boolean {
    this.#pending = this.#pending.subarray(this.#pending.length);
    return true;
  }

  close(): void {
    this.#drop();
    this.#source.close();
    this.#engineEnd.close();
  }
}

/** The relays that an engine needs: one for both streams where they are the same. */
export function relays(): Relay[] {
  const needed = ([1, 2] as const).filter((stream) => !host.isTerminal(stream))
    .map((stream) => ({ stream, file: fileOf(stream) }))
    .filter(({ file }) => file !== null);
  if (needed.length === 2 && needed[0].file === needed[1].file) return [new Relay([1, 2])];
  return needed.map(({ stream }) => new Relay([stream]));
}

/** What tells the pipe or socket that a stream is from others; null for anything else. */
function fileOf(stream: number): string | null {
  try {
    const { mode, dev, ino } = statx(new Descriptor(stream));
    const type = mode & S_IFMT;
    return type === S_IFIFO || type === S_IFSOCK ? `${dev}/${ino}` : null;
  } catch (error) {
    if (isSyscallError(error, "EBADF")) return null;
    throw error;
  }
}
