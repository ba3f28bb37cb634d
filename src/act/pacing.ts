// Pacing of the cuts: one in each time slot, at a random moment of the slot.

/** The spacing of cuts: at most `per_s` of them a second, or all of them spread evenly over `over_ms` milliseconds. */
export type Spacing = ({ readonly per_s: number } | { readonly over_ms: number }) & {
  /**
   * The part of its slot within which a cut is made at random: 0 is the beginning of the slot, 1 anywhere in it.
   * Randomness keeps clients that wait equally long before they reconnect from doing so in step. Default 0.5.
   */
  readonly jitter?: number;
};

/** Default of `jitter`. */
export const DEFAULT_JITTER = 0.5;

/**
 * Milliseconds that cuts may be late and still catch up. Timers are late by milliseconds, which must not lower the
 * rate. A longer delay must not be followed by a burst.
 */
const SLACK_MS = 50;

/** Returns the length of a slot in milliseconds, for so many cuts. */
export function slotLength(spacing: Spacing, count: number): number {
  return "per_s" in spacing ? 1000 / spacing.per_s : spacing.over_ms / Math.max(1, count);
}

/** A schedule of cuts. Its times are in milliseconds, on the caller's clock. */
export class PacingSchedule {
  /** Milliseconds from one slot to the next. */
  readonly gap_ms: number;
  readonly #jitter_ms: number;
  readonly #random: () => number;
  #slot: number;
  #due: number;

  /**
   * @param count The number of cuts that share `over_ms`.
   * @param now The beginning of the first slot.
   * @param random Returns numbers from 0 up to but not including 1.
   */
  constructor(spacing: Spacing, count: number, now: number, random: () => number = Math.random) {
    this.gap_ms = slotLength(spacing, count);
    this.#jitter_ms = (spacing.jitter ?? DEFAULT_JITTER) * this.gap_ms;
    this.#random = random;
    this.#slot = now;
    this.#due = this.#randomTime();
  }

  /** The earliest time of the next cut. */
  get due(): number {
    return this.#due;
  }

  /** Moves on to the next slot after a cut at `now`. */
  advance(now: number): void {
    this.#slot += this.gap_ms + Math.max(0, now - this.#due - SLACK_MS);
    this.#due = this.#randomTime();
  }

  #randomTime(): number {
    return this.#slot + this.#random() * this.#jitter_ms;
  }
}
