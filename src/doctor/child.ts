// Trying something in a process of its own, which may be killed or get stuck over it.

import { isSyscallError } from "../../ffi/errno.ts";
import { recv } from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { spawn, wait } from "../../ffi/spawn.ts";
import { O_RDWR } from "../../ffi/fs.ts";
import { setReceiveTimeout, socketpair } from "../../ffi/unix.ts";
import { inheritedEnvironment } from "../linux/proc/environ.ts";

/** How long a process may be silent. */
const PATIENCE_S = 10;
/** The longest text that is taken. */
const TEXT_SIZE = 64 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** How a program failed. */
export interface Failure {
  /** Whether it could not be started, or has given up by itself; else it was killed, or is stuck. */
  readonly gaveUp: boolean;
  /** In the words of a report. */
  readonly text: string;
}

/**
 * Runs a program to its end, and calls `each` with each text that it writes, standard error included.
 *
 * @param command The program, by an absolute path, and its arguments.
 * @returns null when it exited with 0.
 */
export function runChild(command: readonly string[], each: (text: string) => void): Failure | null {
  const [ours, theirs] = socketpair();
  try {
    setReceiveTimeout(ours, PATIENCE_S);
    const pid = start(command, theirs);
    theirs.close();
    if (receiveAll(ours, each)) return failureOf(pid);
    // It is left behind. Nobody reads any more what it may still write, and that ends it.
    return { gaveUp: false, text: `does not answer within ${PATIENCE_S} s` };
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    return { gaveUp: true, text: error.message };
  } finally {
    ours.close();
    theirs.close();
  }
}

function start(command: readonly string[], output: Descriptor): number {
  return spawn(command[0], command.map((word) => encoder.encode(word)), inheritedEnvironment(), [
    { action: "open", fd: 0, path: "/dev/null", flags: O_RDWR },
    { action: "duplicate", from: output, to: 1 },
    { action: "duplicate", from: output, to: 2 },
  ]);
}

/** Returns `false` when the time was over. */
function receiveAll(socket: Descriptor, each: (text: string) => void): boolean {
  const buffer = new Uint8Array(TEXT_SIZE);
  try {
    for (let length; (length = recv(socket, buffer, 0)) > 0;) each(decoder.decode(buffer.subarray(0, length)));
    return true;
  } catch (error) {
    if (!isSyscallError(error, "EAGAIN")) throw error;
    return false;
  }
}

const SIGSYS = 31;

function failureOf(pid: number): Failure | null {
  const status = statusOf(pid);
  const signal = status & 0x7f;
  if (signal === 0) return status === 0 ? null : { gaveUp: true, text: `who tries it exits with ${status >> 8}` };
  const killer = signal === SIGSYS ? "a seccomp filter, by SIGSYS" : `signal ${signal}`;
  return { gaveUp: false, text: `who tries it is killed by ${killer}` };
}

function statusOf(pid: number): number {
  try {
    return wait(pid);
  } catch (error) {
    // To a process that ignores SIGCHLD the kernel does not tell how a child ended.
    if (!isSyscallError(error, "ECHILD")) throw error;
    return 0;
  }
}
