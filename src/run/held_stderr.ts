// The command's standard error, in the processes beside it. Who reads it waits until nobody holds it: so they hold it no
// longer than the command is there, whatever it has started.

import { POLLIN } from "../../ffi/poll.ts";
import { redirect } from "../../ffi/descriptor.ts";
import { COMMAND_FD, STDERR } from "./respawn.ts";
import { openFiles } from "./process_state.ts";

/** Standard input of the processes beside the command. */
const DEV_NULL = 0;

/** Standard error of this process, for as long as it is held. */
export class HeldStderr {
  #isHeld: boolean;

  constructor(isHeld: boolean) {
    this.#isHeld = isHeld;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** What poll(2) is to wait for beside all else: the end of the command, with which it is to be dropped. */
  get awaited(): readonly (readonly [fd: number, events: number])[] {
    return this.#isHeld ? [[COMMAND_FD, POLLIN]] : [];
  }

  /** Has what is written there go nowhere. */
  drop(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    const files = openFiles();
    const stderr = files.find(({ fd }) => fd === STDERR)?.target;
    // The runtime has a duplicate of its own.
    for (const { fd, target } of files) if (target === stderr) redirect(fd, DEV_NULL);
  }
}
