// Which failures pass: a shortage of memory or descriptors may be over a moment later.

import { isSyscallError } from "../../ffi/errno.ts";
import { UnsupportedError } from "../model/errors.ts";

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
