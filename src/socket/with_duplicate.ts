// Works on a socket of another process through a duplicate of its descriptor, which is open for some microseconds.

import { isSyscallError, type SyscallError } from "../../ffi/errno.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { explainGetfdDenied } from "../linux/proc/permissions.ts";
import type { Connection, Outcome, Owner } from "../model/connection.ts";
import { isTransient } from "../model/errors.ts";
import type { PidfdCache } from "./duplicate.ts";

/** The value that `use` returned, or the refusal with the owner whose descriptor could not be used. */
export type DuplicateResult<T> = { readonly value: T } | { readonly refusal: Refusal; readonly owner: Owner };

/**
 * Calls `use` with a duplicate of the first owner's descriptor that can be opened, and closes the duplicate at once. While
 * it is open, the application's own close(2) does not end the connection.
 *
 * @returns `ended` when the connection has ended; null when no owner holds the socket any more, so that owners have to be
 * looked for again.
 */
export function withDuplicate<T>(
  pidfds: PidfdCache,
  connection: Connection,
  use: (socket: Descriptor) => T,
): DuplicateResult<T> | "ended" | null {
  let refused: DuplicateResult<T> | null = null;
  for (const owner of connection.owners) {
    try {
      const duplicate = pidfds.duplicate(connection, owner);
      if (duplicate === null) continue;
      if (duplicate === "ended") return "ended";
      try {
        return { value: use(duplicate.descriptor) };
      } finally {
        duplicate.close();
      }
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      refused ??= { refusal: explainDuplicateError(error), owner };
    }
  }
  return refused;
}

/** A refusal of the kernel, as an outcome. */
export interface Refusal {
  readonly outcome: Outcome;
  readonly error: string;
  /** Whether another attempt may succeed. */
  readonly transient?: boolean;
}

/** The error for a process, or a connection, about which no call returns. */
export const UNRESPONSIVE = "does not answer: blocked in the kernel";

let missing: string | undefined;

/** The causes of EPERM on a duplicate that was obtained. */
const FORBIDDEN = "a seccomp profile, a cgroup's program or a security module forbids it";

/** Explains a failed pidfd_open(2) or pidfd_getfd(2), or what failed on the duplicate. */
export function explainDuplicateError(error: SyscallError): Refusal {
  const { syscall, code, message } = error;
  const takes = syscall === "pidfd_open" || syscall === "pidfd_getfd";
  switch (code) {
    case "EPERM":
    case "EACCES":
      // The explanation reads files, and is the same for every connection of a run.
      return { outcome: "denied", error: takes ? missing ??= explainGetfdDenied() : `${message}: ${FORBIDDEN}` };
    case "ETIMEDOUT":
      return { outcome: "failed", error: UNRESPONSIVE };
    case "ENOSYS":
      return {
        outcome: "unsupported",
        error: `${syscall}(2) is missing: needs ${takes ? "Linux 5.6 and " : ""}a seccomp profile that allows it`,
      };
    case "EINVAL":
      if (syscall !== "pidfd_open") return { outcome: "failed", error: message };
      return { outcome: "unsupported", error: "held by a thread that has descriptors of its own: needs Linux 6.9" };
    default:
      return { outcome: "failed", error: message, transient: isTransient(error) };
  }
}
