// The process that does a command, as far as it knows that another one watches it: see front.ts.

import { host } from "../../ffi/deno.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { Descriptor } from "../../ffi/descriptor.ts";
import { setParentDeathSignal } from "../../ffi/process.ts";
import { keepNotesIn } from "../../ffi/progress.ts";
import { UsageError } from "../model/errors.ts";
import { ENGINE } from "./command.ts";
import { keepJournal } from "./journal.ts";
import { Shared } from "./shared.ts";

/**
 * Becomes the engine of the process that has started this one. It ends with that at the latest.
 *
 * @param words What the front says of itself: SHARED,FRONT, a descriptor and its process id.
 * @throws {UsageError} When it was not started by a front.
 */
export function becomeEngine(words: string | undefined): void {
  const [, fd, front] = /^(\d+),(\d+)$/.exec(words ?? "") ?? [];
  if (fd === undefined || host.parent !== Number(front)) throw new UsageError(NOT_TO_TYPE);
  setParentDeathSignal();
  // It may have ended before that.
  if (host.parent !== Number(front)) host.exit(1);
  const shared = sharedWith(Number(fd));
  keepNotesIn(shared.notes);
  keepJournal(shared);
  shared.started = true;
}

const NOT_TO_TYPE = `${ENGINE} is not a command to type: tcphup starts it`;

function sharedWith(fd: number): Shared {
  try {
    return new Shared(new Descriptor(fd));
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    throw new UsageError(NOT_TO_TYPE);
  }
}
