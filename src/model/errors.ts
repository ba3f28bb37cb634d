// The kinds of errors that people are told of, each with its exit code.

import { isSyscallError } from "../../ffi/errno.ts";

/** Input that is wrong, exit code 2. The message says what is wrong and what would be right, and fits on one line. */
export class UsageError extends Error {
  /** Always `UsageError`. */
  override readonly name = "UsageError";
}

/** This host or user cannot do it at all, exit code 4. The message says what is missing, on one line. */
export class UnsupportedError extends Error {
  /** Always `Unsupported`. */
  override readonly name = "Unsupported";
  /** Whether it may be possible a moment later. */
  readonly passing: boolean;

  /**
   * What is missing.
   *
   * @param options.passing Whether it may be there a moment later.
   */
  constructor(message: string, { passing = false }: { passing?: boolean } = {}) {
    super(message);
    this.passing = passing;
  }
}

/** The command of `tcphup run` cannot be run. The message says why; `status` is what a shell would exit with. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  /** 127: there is no such command. 126: there is, and it cannot be executed. */
  readonly status: 126 | 127;

  constructor(message: string, status: 126 | 127) {
    super(message);
    this.status = status;
  }
}

const PASSING = ["EAGAIN", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];

/** Whether a call that has failed with this errno may succeed when it is tried again. */
export function isTransientErrno(errno: string): boolean {
  return PASSING.includes(errno);
}

/** Whether what has failed may succeed when it is tried again. */
export function isTransient(error: unknown): error is Error {
  return (isSyscallError(error) && isTransientErrno(error.code)) ||
    (error instanceof UnsupportedError && error.passing);
}
