// Open descriptors of this process: closing, duplicating and marking them, and pipes.

import { check, lazily } from "./call.ts";
import { closeInBackground } from "./deno.ts";
import { beginCall, endCall } from "./progress.ts";

const closeSymbols = lazily({ close: { parameters: ["i32"], result: "i32" } });

const fcntlSymbols = lazily({ fcntl: { parameters: ["i32", "i32", "usize"], result: "i32" } });

const dupSymbols = lazily({ dup2: { parameters: ["i32", "i32"], result: "i32" } });

const pipeSymbols = lazily({ pipe2: { parameters: ["buffer", "i32"], result: "i32" } });

export const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;

/** The descriptor number of a file in another process: a name for it there, never one of ours. */
export type ForeignFd = number & { readonly foreign: unique symbol };

/** An open descriptor of this process. Whoever opened it closes it; closing twice does nothing. */
export class Descriptor {
  #number: number;

  constructor(number: number) {
    this.#number = number;
  }

  /** The number that system calls take; −1 once it is closed, which every call answers with EBADF. */
  get number(): number {
    return this.#number;
  }

  close(): void {
    if (this.#number === -1) return;
    const { close } = closeSymbols();
    beginCall();
    close(this.#number);
    endCall();
    this.#number = -1;
  }

  /** As `close`, by another thread, for which nothing waits. */
  closeInBackground(): void {
    closeInBackground(this.#number);
    this.#number = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** pipe2(2): the end to read from and the end to write to. @param inherited Whether both stay open with execve(2). */
export function pipe(inherited = false): [Descriptor, Descriptor] {
  const pair = new Int32Array(2);
  check("pipe2", pipeSymbols().pipe2(pair, inherited ? 0 : O_CLOEXEC));
  return [new Descriptor(pair[0]), new Descriptor(pair[1])];
}

const F_DUPFD_CLOEXEC = 1030;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;

/** fcntl(2) F_DUPFD_CLOEXEC: a duplicate whose number is at least `lowest`. */
export function duplicateFrom(descriptor: Descriptor, lowest: number): Descriptor {
  return new Descriptor(check("fcntl", fcntlSymbols().fcntl(descriptor.number, F_DUPFD_CLOEXEC, BigInt(lowest))));
}

/** fcntl(2) F_SETFD: a descriptor stays open with execve(2). */
export function keepOnExec(fd: number): void {
  check("fcntl", fcntlSymbols().fcntl(fd, F_SETFD, 0n));
}

/** fcntl(2) F_SETFL without O_NONBLOCK, for all who have the same open file. */
export function setBlocking(fd: number): void {
  const flags = check("fcntl", fcntlSymbols().fcntl(fd, F_GETFL, 0n));
  if (flags & O_NONBLOCK) check("fcntl", fcntlSymbols().fcntl(fd, F_SETFL, BigInt(flags & ~O_NONBLOCK)));
}

/** dup2(2): the number `to` means what `from` does from now on. */
export function redirect(to: number, from: number): void {
  check("dup2", dupSymbols().dup2(from, to));
}
