// Calling a libc function: its symbol is loaded, its errno is checked, and strings become C strings.
//
// Symbols are loaded in groups, at the first call of one of the group. Variadic functions are declared with the
// arguments that we pass, which the calling conventions of Linux on x86-64 and aarch64 allow. Results of type
// ssize_t are declared i32: no call here moves 2 GiB, and a bigint for each would be waste.

import { errno, load, prepareErrno } from "./deno.ts";
import { EAGAIN, EINTR, ETIMEDOUT, SyscallError } from "./errno.ts";
import type { NativeFunctions, NativeSymbols } from "./native.ts";
import { beginCall, endCall } from "./progress.ts";

/** Returns a getter of the functions of `symbols`, which loads all of them when it is called first. */
export function lazily<const S extends NativeSymbols>(symbols: S): () => NativeFunctions<S> {
  let functions: NativeFunctions<S> | undefined;
  return () => {
    if (functions === undefined) {
      functions = load(symbols);
      prepareErrno();
    }
    return functions;
  };
}

/** Returns the result of a call. @throws {SyscallError} With errno, when the result is −1. */
export function check(syscall: string, result: number): number {
  // The argument comes before the allocation: errno must be read before anything is allocated.
  if (result === -1) throw new SyscallError(syscall, errno());
  return result;
}

/**
 * Errors that futex(2) leaves in errno: the runtime's garbage collector may wait for its helper threads before errno is
 * read, and so overwrites the errno of the call.
 */
const CLOBBERING_ERRNOS = [EINTR, EAGAIN, ETIMEDOUT];
/** A call may also fail with such an error itself, by a seccomp filter say: then it does so each time. */
const ATTEMPTS = 10;

/**
 * Makes a call that does not fail with EINTR, EAGAIN or ETIMEDOUT itself, and changes nothing when it fails. The call is
 * repeated while errno is one of these.
 *
 * @returns The result, or the negative errno.
 */
export function retryOnClobberedErrno(call: () => number): number {
  for (let attempt = 1;; attempt++) {
    beginCall();
    const result = call();
    endCall();
    if (result !== -1) return result;
    const code = errno();
    if (!CLOBBERING_ERRNOS.includes(code) || attempt === ATTEMPTS) return -code;
  }
}

/** Makes a call by `retryOnClobberedErrno` and returns its result. @throws {SyscallError} */
export function checkCall(syscall: string, call: () => number): number {
  const result = retryOnClobberedErrno(call);
  if (result < 0) throw new SyscallError(syscall, -result);
  return result;
}

/** Makes a call, again when a signal interrupts it (EINTR), and returns its result. @throws {SyscallError} */
export function checkInterruptible(syscall: string, call: () => number): number {
  for (;;) {
    beginCall();
    const result = call();
    endCall();
    if (result === -1 && errno() === EINTR) continue;
    return check(syscall, result);
  }
}

const encoder = new TextEncoder();

/** Returns `text` as a C string. @throws {TypeError} When `text` contains a NUL, where C would stop reading. */
export function cString(text: string): Uint8Array {
  if (text.includes("\0")) throw new TypeError(`NUL in "${text}"`);
  return encoder.encode(text + "\0");
}
