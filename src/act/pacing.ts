// How fast connections are cut: one in each slot of time, at a random moment of it.

/** How cuts are spread over time: so many a second at most, or all of them evenly over a time. */
export type Spacing = ({ readonly per_s: number } | { readonly over_ms: number }) & {
  /**
   * How much of its slot chance may move a cut: from 0, always at its beginning, to 1, anywhere in it. Clients that all
   * wait equally long before they connect again are so kept from doing it in step. Default 0.5.
   */
  readonly jitter?: number;
};

/** Half of a slot. */
export const DEFAULT_JITTER = 0.5;

/**
 * How far cuts may fall behind and catch up. Timers are late by milliseconds, which must not lower the rate; whatever
 * held everything up for longer must not be made up for by a burst.
 */
const SLACK_MS = 50;

/** Milliseconds from one slot to the next, for so many cuts. */
export function slotLength(spacing: Spacing, count: number): number {
  return "per_s" in spacing ? 1000 / spacing.per_s : spacing.over_ms / Math.max(1, count);
}

/** A schedule. Times are in milliseconds, on whatever clock the caller reads. */
export class PacingSchedule {
  /** Milliseconds from one slot to the next. */
  readonly gap_ms: number;
  readonly #jitter_ms: number;
  readonly #random: () => number;
  #slot: number;
  #due: number;

  /**
   * @param count How many cuts `over_ms` is shared among.
   * @param now When the first slot begins.
   * @param random Returns numbers from 0 up to but not including 1.
   */
  constructor(spacing: Spacing, count: number, now: number, random: () => number = Math.random) {
    this.gap_ms = slotLength(spacing, count);
    this.#jitter_ms = (spacing.jitter ?? DEFAULT_JITTER) * this.gap_ms;
    this.#random = random;
    this.#slot = now;
    this.#due = this.#moment();
  }

  /** The earliest time of the next cut. */
  get due(): number {
    return this.#due;
  }

  /** Says that a cut was made at `now`: the next one belongs into the next slot. */
  advance(now: number): void {
    this.#slot += this.gap_ms + Math.max(0, now - this.#due - SLACK_MS);
    this.#due = this.#moment();
  }

  #moment(): number {
    return this.#slot + this.#random() * this.#jitter_ms;
  }
}
