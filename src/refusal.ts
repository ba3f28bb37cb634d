// What it means when a descriptor of another process cannot be duplicated, in the words of a report.

import type { SyscallError } from "../ffi/libc.ts";
import type { Outcome } from "./connection.ts";
import { missingForGetfd } from "./owners/permission.ts";
import { isPassing } from "./trouble.ts";

/** What kept something from being done. */
export interface Refusal {
  readonly outcome: Outcome;
  readonly error: string;
  /** Whether it may not be so a moment later. */
  readonly passing?: boolean;
}

/** What is said of a process, or of a connection's holder, about which no call returns. */
export const UNRESPONSIVE = "does not answer: blocked in the kernel";

let missing: string | undefined;

/** Who may refuse what the kernel allows on a duplicate that one has. */
const FORBIDDEN = "a seccomp profile, a cgroup's program or a security module forbids it";

/** Explains a failed pidfd_open(2) or pidfd_getfd(2), or what failed on the duplicate. */
export function refusalOf(error: SyscallError): Refusal {
  const { syscall, code, message } = error;
  const takes = syscall === "pidfd_open" || syscall === "pidfd_getfd";
  switch (code) {
    case "EPERM":
    case "EACCES":
      // What is missing is the same for every connection of a run, and takes reading files.
      return { outcome: "denied", error: takes ? missing ??= missingForGetfd() : `${message}: ${FORBIDDEN}` };
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
      return { outcome: "failed", error: message, passing: isPassing(error) };
  }
}
