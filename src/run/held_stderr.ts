// The command's standard error in the processes beside it. Its reader waits until no process holds it, so these processes
// hold it only as long as the command itself runs.

import { host } from "../../ffi/deno.ts";
import { poll, POLLIN, POLLOUT } from "../../ffi/poll.ts";
import { redirect } from "../../ffi/descriptor.ts";
import { COMMAND_FD, STDERR } from "./respawn.ts";
import { openFiles } from "./process_state.ts";

/** Standard input of the processes beside the command, which is /dev/null. */
const DEV_NULL = 0;

/** Writes a line to standard error, unless that would block: a stuck terminal or pipe must not stall the supervisor. */
export function report(text: string): void {
  try {
    if (poll(STDERR, POLLOUT, 0) & POLLOUT) host.write(STDERR, `tcphup: ${text}\n`);
  } catch {
    // The terminal has been closed.
  }
}

/** Standard error of this process, until it is dropped. */
export class HeldStderr {
  #isHeld: boolean;

  constructor(isHeld: boolean) {
    this.#isHeld = isHeld;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /**
   * Descriptors for poll(2): the command's pidfd while standard error is held, which is dropped when the command ends.
   */
  get awaited(): readonly (readonly [fd: number, events: number])[] {
    return this.#isHeld ? [[COMMAND_FD, POLLIN]] : [];
  }

  /** Replaces standard error by /dev/null. */
  drop(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    const files = openFiles();
    const stderr = files.find(({ fd }) => fd === STDERR)?.target;
    // The runtime holds a duplicate of standard error.
    for (const { fd, target } of files) if (target === stderr) redirect(fd, DEV_NULL);
  }
}
