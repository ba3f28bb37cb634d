// Pacing of the cuts: one in each time slot, at a random moment of the slot.

/**
 * The pace of the cuts: at most `perSecond` of them a second (1/3600 to 10,000), or all of them spread evenly over `overMs`
 * milliseconds.
 */
export type Pacing = ({ readonly perSecond: number } | { readonly overMs: number }) & {
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
export function slotLength(pacing: Pacing, count: number): number {
  // An option that is undefined counts as left out.
  const { perSecond, overMs = 0 }: { perSecond?: number; overMs?: number } = pacing;
  return perSecond === undefined ? overMs / Math.max(1, count) : 1000 / perSecond;
}

/** A schedule of cuts. Its times are in milliseconds, on the caller's clock. */
export class PacingSchedule {
  /** Milliseconds from one slot to the next. */
  readonly gapMs: number;
  readonly #jitterMs: number;
  readonly #random: () => number;
  #slot: number;
  #due: number;

  /**
   * @param count The number of cuts that share `overMs`.
   * @param now The beginning of the first slot.
   * @param random Returns numbers from 0 up to but not including 1.
   */
  constructor(pacing: Pacing, count: number, now: number, random: () => number = Math.random) {
    this.gapMs = slotLength(pacing, count);
    this.#jitterMs = (pacing.jitter ?? DEFAULT_JITTER) * this.gapMs;
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
    this.#slot += this.gapMs + Math.max(0, now - this.#due - SLACK_MS);
    this.#due = this.#randomTime();
  }

  #randomTime(): number {
    return this.#slot + this.#random() * this.#jitterMs;
  }
}
