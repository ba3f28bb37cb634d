// What goes wrong for a while only, in a run that looks again and again anyway: a host that is short of memory, say.

import { isTransient } from "../model/errors.ts";

/** Tells of transientErrors when it begins, and when it is over. */
export class TransientErrors {
  readonly #tell: (text: string) => void;
  /** What began it; null while there is none. */
  #cause: string | null = null;
  #isNoted = false;
  /** What was borne last. */
  #error: unknown = null;

  constructor(tell: (text: string) => void = () => {}) {
    this.#tell = tell;
  }

  /** To be called with what has failed. @throws It, when it is nothing that isTransientErrno. */
  tolerate(error: unknown): void {
    if (!isTransient(error)) throw error;
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
  endAttempt(): void {
    if (!this.#isNoted && this.#cause !== null) {
      this.#tell(`has passed: ${this.#cause}`);
      this.#cause = this.#error = null;
    }
    this.#isNoted = false;
  }

  /** To be called when there is no other attempt. @throws {unknown} What was borne last, when that has not passed. */
  rethrowLast(): void {
    if (this.#error !== null) throw this.#error;
  }
}
