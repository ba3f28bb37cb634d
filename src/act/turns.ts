// The turns of a run's stages. Each stage is a loop: it waits here until its next step is due, and has a step that failed
// for the moment tried again.

import { host } from "../../ffi/deno.ts";
import { sleep, SLICE_MS } from "../../ffi/sleep.ts";
import { TransientErrors } from "../report/transient_errors.ts";

/** The longest time, in milliseconds, without a report of the progress. */
const MAX_SLEEP_MS = 1000;

/** Milliseconds to wait after a transient error before the next attempt. */
const RETRY_MS = 100;

/** Options of the turns. */
export interface TurnsOptions {
  /** Stops all stages. */
  readonly signal?: AbortSignal;
  /** Milliseconds from now for which a transient error does not end the run. Default 0. */
  readonly toleranceMs?: number;
  /** Is called before every pause, and once a second while it lasts. */
  readonly onPause?: () => void;
  /** Receives a line of text for people when transient errors begin, and when they have passed. */
  readonly onWarning?: (text: string) => void;
}

/** The turns of stages that run at the same time. */
export class Turns {
  /** Is aborted when the stages have to stop. */
  readonly signal: AbortSignal;
  readonly #options: TurnsOptions;
  readonly #start = performance.now();
  readonly #stop = new AbortController();
  readonly #errors = new Map<object, TransientErrors>();
  #failure: { readonly error: unknown } | null = null;
  /** The time at which the event loop has its next turn. */
  #sliceEnd = this.#start + SLICE_MS;

  constructor(options: TurnsOptions = {}) {
    const { signal } = this.#stop;
    this.#options = options;
    this.signal = options.signal === undefined ? signal : AbortSignal.any([options.signal, signal]);
  }

  /**
   * Waits until `time`, on the clock of performance.now(). When it is that late already, the event loop still has its turn
   * every `SLICE_MS`.
   *
   * @returns `false` when the stages have to stop.
   */
  async until(time: number): Promise<boolean> {
    while (!this.signal.aborted) {
      const now = performance.now();
      if (now >= time && now < this.#sliceEnd) return true;
      this.#options.onPause?.();
      await (time > now ? sleep(Math.min(time - now, MAX_SLEEP_MS), this.signal) : host.yieldToEvents());
      this.#sliceEnd = performance.now() + SLICE_MS;
    }
    return false;
  }

  /** Takes a step of a stage. While the tolerance lasts, a transient error is tolerated, and the next step tries again. */
  async attempt(stage: object, step: () => void | Promise<void>): Promise<void> {
    let errors = this.#errors.get(stage);
    if (errors === undefined) this.#errors.set(stage, errors = new TransientErrors(this.#options.onWarning));
    try {
      await step();
    } catch (error) {
      if (performance.now() > this.#start + (this.#options.toleranceMs ?? 0)) throw error;
      errors.tolerate(error);
      await sleep(RETRY_MS, this.signal);
    }
    errors.endAttempt();
  }

  /** Stops all stages, because of an error when one is given. */
  stop(failure?: { readonly error: unknown }): void {
    this.#failure ??= failure ?? null;
    this.#stop.abort();
  }

  /** Throws the error that stopped the stages, or one that was tolerated and has not passed. */
  end(): void {
    if (this.#failure !== null) throw this.#failure.error;
    if (!this.signal.aborted) { for (const errors of this.#errors.values()) errors.rethrowLast(); }
  }
}
