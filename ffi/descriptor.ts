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

/** The number of a descriptor of this process. It means nothing in another one. A plain number can stand for it. */
type OwnFd = number & { readonly is?: "descriptor of this process" };

/** An open descriptor of this process. The code that opened it closes it; closing it twice does nothing. */
export class Descriptor {
  #number: OwnFd;

  constructor(number: OwnFd) {
    this.#number = number;
  }

  /** The number that system calls take; −1 when closed, for which every call fails with EBADF. */
  get number(): OwnFd {
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

  /** Closes it in another thread, and does not wait for that. */
  closeInBackground(): void {
    closeInBackground(this.#number);
    this.#number = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** pipe2(2): the end to read from and the end to write to. @param inherited Leaves FD_CLOEXEC unset on both. */
export function pipe(inherited = false): [Descriptor, Descriptor] {
  const pair = new Int32Array(2);
  check("pipe2", pipeSymbols().pipe2(pair, inherited ? 0 : O_CLOEXEC));
  return [new Descriptor(pair[0]!), new Descriptor(pair[1]!)];
}

const F_DUPFD_CLOEXEC = 1030;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;

/** fcntl(2) F_DUPFD_CLOEXEC: a duplicate whose number is at least `lowest`. */
export function duplicateFrom(descriptor: Descriptor, lowest: number): Descriptor {
  return new Descriptor(check("fcntl", fcntlSymbols().fcntl(descriptor.number, F_DUPFD_CLOEXEC, BigInt(lowest))));
}

/** Clears FD_CLOEXEC, so that a descriptor stays open at execve(2). */
export function keepOnExec(fd: number): void {
  check("fcntl", fcntlSymbols().fcntl(fd, F_SETFD, 0n));
}

/** Clears O_NONBLOCK, for every process that has the same open file description. */
export function setBlocking(fd: number): void {
  const flags = check("fcntl", fcntlSymbols().fcntl(fd, F_GETFL, 0n));
  if (flags & O_NONBLOCK) check("fcntl", fcntlSymbols().fcntl(fd, F_SETFL, BigInt(flags & ~O_NONBLOCK)));
}

/** dup2(2): makes the number `to` a duplicate of `from`. */
export function redirect(to: number, from: number): void {
  check("dup2", dupSymbols().dup2(from, to));
}
