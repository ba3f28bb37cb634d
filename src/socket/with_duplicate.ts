// Works on a socket of another process through a duplicate of its descriptor, which is open for some microseconds.

import { isSyscallError, type SyscallError } from "../../ffi/errno.ts";
import { explainGetfdDenied } from "../linux/proc/permissions.ts";
import type { Connection, HeldConnection, Owner } from "../model/connection.ts";
import { isTransient } from "../linux/transient.ts";
import type { Result } from "../model/result.ts";
import { Duplicate, type PidfdCache } from "./duplicate.ts";

/** Names an owner for a message: `pid 812 (postgres)`. */
export function ownerName({ pid, comm }: Owner): string {
  return `pid ${pid} (${comm})`;
}

/** The reason given for a connection that ended before it was touched. */
export const ENDED = "ended by itself";

/** The reason why there is no duplicate, or why it could not be used, as a result. */
export type Refusal = Result<"already-gone" | "denied" | "unsupported" | "failed"> & {
  readonly message: string;
  /** Whether another attempt may succeed. */
  readonly transient?: boolean;
  /** The owner whose descriptor it is about. */
  readonly owner?: Owner;
};

/** Returns the message of a refusal, with the owner. */
export function refusalText({ owner, message }: Refusal): string {
  return owner === undefined ? message : `${ownerName(owner)}: ${message}`;
}

/**
 * Calls `use` with a duplicate of the first owner's descriptor that can be opened, and closes the duplicate at once. While
 * it is open, the application's own close(2) does not end the connection.
 *
 * @returns The value of `use`; the first refusal; null when no owner holds the socket any more, so that owners have to be
 * looked for again.
 */
export function withDuplicate<T>(
  pidfds: PidfdCache,
  { connection, owners }: HeldConnection,
  use: (duplicate: Duplicate, owner: Owner) => T,
): { readonly value: T } | Refusal | null {
  let refusal: Refusal | null = null;
  for (const owner of owners) {
    const duplicate = open(pidfds, connection, owner);
    if (duplicate === null) continue;
    if (!(duplicate instanceof Duplicate)) {
      if (duplicate.outcome === "already-gone") return duplicate;
      refusal ??= duplicate;
      continue;
    }
    try {
      return { value: use(duplicate, owner) };
    } catch (error) {
      return refusalOf(error, owner);
    } finally {
      duplicate.close();
    }
  }
  return refusal;
}

function open(pidfds: PidfdCache, connection: Connection, owner: Owner): Duplicate | Refusal | null {
  try {
    const duplicate = pidfds.duplicate(connection, owner);
    return duplicate === "ended" ? { outcome: "already-gone", reason: "gone", message: ENDED } : duplicate;
  } catch (error) {
    return refusalOf(error, owner);
  }
}

function refusalOf(error: unknown, owner: Owner): Refusal {
  if (!isSyscallError(error)) throw error;
  return { ...explainDuplicateError(error), owner };
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
      return {
        outcome: "denied",
        reason: "not-permitted",
        // The explanation reads files, and is the same for every connection of a run.
        message: takes ? missing ??= explainGetfdDenied() : `${message}: ${FORBIDDEN}`,
      };
    case "ETIMEDOUT":
      return { outcome: "failed", reason: "unresponsive", message: UNRESPONSIVE };
    case "ENOSYS":
      return unsupported(
        `${syscall}(2) is missing: needs ${takes ? "Linux 5.6 and " : ""}a seccomp profile that allows it`,
      );
    case "EINVAL":
      if (syscall === "pidfd_open") {
        return unsupported("held by a thread that has descriptors of its own: needs Linux 6.9");
      }
  }
  const transient = isTransient(error);
  return { outcome: "failed", reason: transient ? "resources" : "error", message, transient };
}

function unsupported(message: string): Refusal {
  return { outcome: "unsupported", reason: "not-supported", message };
}
