// Relays between the engine and standard output or error, when those are pipes or sockets. An engine that is left
// behind keeps its descriptors open, and a reader would wait for their end. So the engine writes to a pipe of the
// front's instead.

import { host } from "../../ffi/deno.ts";
import { isSyscallError, withFallback } from "../../ffi/errno.ts";
import { read, S_IFMT, statx, write } from "../../ffi/fs.ts";
import { Descriptor, pipe } from "../../ffi/descriptor.ts";
import { PIPE_BUF, poll, POLLIN, POLLOUT } from "../../ffi/poll.ts";

/** File types of <linux/stat.h> that have an end for which a reader waits. */
const S_IFIFO = 0o010000;
const S_IFSOCK = 0o140000;

/** The bytes that are relayed before the event loop delivers signals. */
const TURN = 1 << 20;
/** The number of failures in a row that are taken for a shortage that passes. */
const MOST_FAILURES = 10;
/** The time that standard error, and any stream after a signal, may go unread before its output is dropped. */
const PATIENCE_MS = 1000;

const buffer = new Uint8Array(64 * 1024);

/** A pipe from the engine, and the standard stream that it is relayed to. */
export class Relay {
  readonly streams: readonly (1 | 2)[];
  readonly #target: Descriptor;
  #source: Descriptor;
  #engineEnd: Descriptor;
  #pending = new Uint8Array(0);
  #blockedSince: number | null = null;
  #isHurried = false;
  #failures = 0;

  constructor(streams: readonly [1 | 2, ...(1 | 2)[]]) {
    this.streams = streams;
    this.#target = new Descriptor(streams[0]);
    [this.#source, this.#engineEnd] = pipe();
  }

  /** The pipe's write end, as each stream of the engine that it is for. */
  get outputs(): (readonly [Descriptor, 1 | 2])[] {
    return this.streams.map((stream) => [this.#engineEnd, stream] as const);
  }

  /** To be called when the engine has been started: closes the write end here. */
  started(): void {
    this.#engineEnd.close();
  }

  /** True while there may be more to relay. */
  get isOpen(): boolean {
    return this.#source.number !== -1;
  }

  /** The descriptor and the events to wait for, as a `struct pollfd` of two numbers. */
  get awaited(): [fd: number, events: number] {
    return this.#pending.length > 0 ? [this.#target.number, POLLOUT] : [this.#source.number, POLLIN];
  }

  /**
   * Relays what is readable, as far as the stream takes it. Returns whether nothing is left to read for now.
   *
   * @throws {SyscallError} When reading fails too often in a row.
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

  /** Waits no longer than a second for a reader from now on, as a signal asks the command to end. */
  hurry(): void {
    this.#isHurried = true;
  }

  /** Relays what is left after the engine's end, and closes the pipe. */
  async drain(): Promise<void> {
    for (;;) {
      const isAll = this.pump();
      if (!this.isOpen || (isAll && this.#pending.length === 0)) return this.close();
      await host.poll(new Int32Array(this.awaited), PATIENCE_MS);
    }
  }

  /** Writes what is pending. Returns whether all of it was written. */
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
      // The reader has closed its end. With the pipe closed, the engine gets EPIPE too.
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

/** Creates the relays for an engine: a single one when both streams are the same pipe or socket. */
export function relays(): Relay[] {
  const needed = ([1, 2] as const).filter((stream) => !host.isTerminal(stream))
    .map((stream) => ({ stream, file: fileOf(stream) }))
    .filter(({ file }) => file !== null);
  const [first, second] = needed;
  if (second !== undefined && first?.file === second.file) return [new Relay([1, 2])];
  return needed.map(({ stream }) => new Relay([stream]));
}

/** Returns the identity of the pipe or socket that a stream is; null for anything else. */
function fileOf(stream: number): string | null {
  const status = withFallback(null, () => statx(new Descriptor(stream)), "EBADF");
  if (status === null) return null;
  const type = status.mode & S_IFMT;
  return type === S_IFIFO || type === S_IFSOCK ? `${status.dev}/${status.ino}` : null;
}
