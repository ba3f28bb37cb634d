// The start of the engine, the process that executes a command while the front (front.ts) watches it.

import { host } from "../../ffi/deno.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { Descriptor } from "../../ffi/descriptor.ts";
import { setParentDeathSignal } from "../../ffi/process.ts";
import { keepNotesIn } from "../../ffi/progress.ts";
import { UsageError } from "../model/errors.ts";
import { ENGINE } from "./command.ts";
import { keepJournal } from "./journal.ts";
import { inheritHurry } from "./priority.ts";
import { Shared } from "./shared.ts";

/**
 * Makes this process the engine of its parent, the front: from now on its calls and its work are recorded in shared
 * memory. The engine ends when the front ends.
 *
 * @param words SHARED,FRONT: the descriptor of the shared memory, and the front's process id.
 * @throws {UsageError} When it was not started by a front.
 */
export function becomeEngine(words: string | undefined): void {
  const [, fd, front] = /^(\d+),(\d+)$/.exec(words ?? "") ?? [];
  if (fd === undefined || host.parent !== Number(front)) throw new UsageError(NOT_TO_TYPE);
  setParentDeathSignal();
  inheritHurry();
  // The front may have ended before the signal was set.
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
