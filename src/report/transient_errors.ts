// Transient errors, such as a shortage of memory, in a run that repeats its work anyway.

import { isTransient } from "../linux/transient.ts";

/** Tolerates transient errors, and tells when they begin and when they have passed. */
export class TransientErrors {
  readonly #tell: (text: string) => void;
  /** The message of the error that began; null while there is none. */
  #cause: string | null = null;
  #hasFailed = false;
  /** The last error that was tolerated. */
  #error: unknown = null;

  constructor(tell: (text: string) => void = () => {}) {
    this.#tell = tell;
  }

  /**
   * Notes an error of the present attempt.
   *
   * @throws {unknown} The error itself, when it is not transient.
   */
  tolerate(error: unknown): void {
    if (!isTransient(error)) throw error;
    this.#error = error;
    this.note(error.message);
  }

  /** Notes the cause for which the present attempt has to be repeated. */
  note(cause: string): void {
    this.#hasFailed = true;
    if (this.#cause !== null) return;
    this.#cause = cause;
    this.#tell(`trying again after ${cause}`);
  }

  /** Ends an attempt, and tells when the errors have passed. */
  endAttempt(): void {
    if (!this.#hasFailed && this.#cause !== null) {
      this.#tell(`has passed: ${this.#cause}`);
      this.#cause = this.#error = null;
    }
    this.#hasFailed = false;
  }

  /**
   * Ends the last attempt.
   *
   * @throws {unknown} The last error that was tolerated, when it has not passed.
   */
  rethrowLast(): void {
    if (this.#error !== null) throw this.#error;
  }
}
