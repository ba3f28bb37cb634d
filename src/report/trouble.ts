// What goes wrong for a while only, in a run that looks again and again anyway: a host that is short of memory, say.

import { isPassing } from "../model/errors.ts";

/** Tells of trouble when it begins, and when it is over. */
export class Trouble {
  readonly #tell: (text: string) => void;
  /** What began it; null while there is none. */
  #cause: string | null = null;
  #isNoted = false;
  /** What was borne last. */
  #error: unknown = null;

  constructor(tell: (text: string) => void = () => {}) {
    this.#tell = tell;
  }

  /** To be called with what has failed. @throws It, when it is nothing that passes. */
  bear(error: unknown): void {
    if (!isPassing(error)) throw error;
    this.#error = error;
    this.note(error.message);
  }

  /** To be called with what is in the way. */
  note(cause: string): void {
    this.#isNoted = true;
    if (this.#cause !== null) return;
    this.#cause = cause;
    this.#tell(`trying again after ${cause}`);
  }

  /** To be called after each attempt, failed or not. */
  conclude(): void {
    if (!this.#isNoted && this.#cause !== null) {
      this.#tell(`has passed: ${this.#cause}`);
      this.#cause = this.#error = null;
    }
    this.#isNoted = false;
  }

  /** To be called when there is no other attempt. @throws {unknown} What was borne last, when that has not passed. */
  end(): void {
    if (this.#error !== null) throw this.#error;
  }
}
