// Runs a program in a child process, which may be killed or get stuck.

import { attempt, isSyscallError, withFallback } from "../../ffi/errno.ts";
import { recv } from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { SIGSYS } from "../../ffi/signal.ts";
import { spawn, wait } from "../../ffi/spawn.ts";
import { O_RDWR } from "../../ffi/fs.ts";
import { setReceiveTimeout, socketpair } from "../../ffi/unix.ts";
import { inheritedEnvironment } from "../linux/proc/environ.ts";

/** Seconds for which the child may be silent. */
const TIMEOUT_S = 10;
/** The largest text, in bytes, that is received at once. */
const TEXT_SIZE = 64 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A program, by an absolute path, and its arguments. */
export type Command = readonly [program: string, ...args: string[]];

/** The failure of a child process. */
export interface Failure {
  /** `true` when the child could not be started, or exited by itself; `false` when it was killed, or is stuck. */
  readonly hasExited: boolean;
  /** The failure as a report words it. */
  readonly text: string;
}

/**
 * Runs a program to its end, and calls `each` with each text that it writes, standard error included.
 *
 * @returns The failure; null when the program exited with 0.
 */
export function runChild(command: Command, each: (text: string) => void): Failure | null {
  const [ours, theirs] = socketpair();
  try {
    setReceiveTimeout(ours, TIMEOUT_S);
    const pid = start(command, theirs);
    theirs.close();
    if (receiveAll(ours, each)) return failureOf(pid);
    // The child is left behind. Its next write fails, because this end of the socket is closed, and that ends it.
    return { hasExited: false, text: `does not answer within ${TIMEOUT_S} s` };
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    return { hasExited: true, text: error.message };
  } finally {
    ours.close();
    theirs.close();
  }
}

function start(command: Command, output: Descriptor): number {
  return spawn(command[0], command.map((word) => encoder.encode(word)), inheritedEnvironment(), [
    { action: "open", fd: 0, path: "/dev/null", flags: O_RDWR },
    { action: "duplicate", from: output, to: 1 },
    { action: "duplicate", from: output, to: 2 },
  ]);
}

/** Receives texts until the end of the stream. Returns `false` after a timeout. */
function receiveAll(socket: Descriptor, each: (text: string) => void): boolean {
  const buffer = new Uint8Array(TEXT_SIZE);
  return attempt(() => {
    for (let length; (length = recv(socket, buffer, 0)) > 0;) each(decoder.decode(buffer.subarray(0, length)));
  }, "EAGAIN");
}

function failureOf(pid: number): Failure | null {
  // The kernel keeps no exit status for a process that ignores SIGCHLD.
  const status = withFallback(0, () => wait(pid), "ECHILD");
  const signal = status & 0x7f;
  if (signal === 0) {
    return status === 0 ? null : { hasExited: true, text: `the process that tries it exits with ${status >> 8}` };
  }
  const killer = signal === SIGSYS ? "a seccomp filter, by SIGSYS" : `signal ${signal}`;
  return { hasExited: false, text: `the process that tries it is killed by ${killer}` };
}
