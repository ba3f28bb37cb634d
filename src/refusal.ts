// What it means when a descriptor of another process cannot be duplicated, in the words of a report.

import type { SyscallError } from "../ffi/libc.ts";
import type { Outcome } from "./connection.ts";
import { missingForGetfd } from "./owners/permission.ts";

/** What kept something from being done. */
export interface Refusal {
  readonly outcome: Outcome;
  readonly error: string;
}

let missing: string | undefined;

/** Explains a failed pidfd_open(2) or pidfd_getfd(2), or what failed on the duplicate. */
export function refusalOf(error: SyscallError): Refusal {
  switch (error.code) {
    case "EPERM":
    case "EACCES":
      // It is the same for every connection of a run, and takes reading files.
      return { outcome: "denied", error: missing ??= missingForGetfd() };
    case "ENOSYS":
      return {
        outcome: "unsupported",
        error: `${error.syscall}(2) is missing: needs Linux 5.6 and a seccomp profile that allows it`,
      };
    case "EINVAL":
      return {
        outcome: "unsupported",
        error: "held by a thread that has descriptors of its own: needs Linux 6.9",
      };
    default:
      return { outcome: "failed", error: error.message };
  }
}
