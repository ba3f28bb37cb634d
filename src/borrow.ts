// Working on a socket of another process through a duplicate of its descriptor, for some microseconds.

import { type Descriptor, isSyscallError } from "../ffi/libc.ts";
import type { Connection, Owner } from "./connection.ts";
import type { Processes } from "./duplicate/duplicate.ts";
import { type Refusal, refusalOf } from "./refusal.ts";

/** What came of it: what `use` returned, or what kept it from being done, with the owner where that was. */
export type Borrowed<T> = { readonly value: T } | { readonly refusal: Refusal; readonly owner: Owner };

/**
 * Calls `use` with a duplicate of the first owner's descriptor that may be opened, and closes that at once: as long as
 * it is open, the application's own close(2) does not end the connection.
 *
 * @returns `ended` when the connection has ended; null when none of the owners holds the socket any more, so that they have
 * to be looked for again.
 */
export function borrow<T>(
  processes: Processes,
  connection: Connection,
  use: (socket: Descriptor) => T,
): Borrowed<T> | "ended" | null {
  let refused: Borrowed<T> | null = null;
  for (const owner of connection.owners) {
    try {
      const duplicate = processes.duplicate(connection, owner);
      if (duplicate === null) continue;
      if (duplicate === "ended") return "ended";
      try {
        return { value: use(duplicate.descriptor) };
      } finally {
        duplicate.close();
      }
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      refused ??= { refusal: refusalOf(error), owner };
    }
  }
  return refused;
}
