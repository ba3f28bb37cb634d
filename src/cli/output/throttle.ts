// Lines that others decide the number of, bounded: whoever opens connections fills no log.

/** So many at once, and so many a second in the long run. */
const MOST = { at_once: 200, per_second: 10 };
/** How often what was left out is counted. */
const COUNTED_EVERY_MS = 10_000;

/** Decides which lines are written, and counts the others. */
export class Throttle {
  #room = MOST.at_once;
  #latest: number;
  #leftOut = 0;
  #since = 0;

  /** @param now As in all that follows, a time in milliseconds. */
  constructor(now: number) {
    this.#latest = now;
  }

  /** Whether one more line is written. */
  admits(now: number): boolean {
    this.#room = Math.min(MOST.at_once, this.#room + (now - this.#latest) * MOST.per_second / 1000);
    this.#latest = now;
    if (this.#room >= 1) {
      this.#room--;
      return true;
    }
    if (this.#leftOut === 0) this.#since = now;
    this.#leftOut++;
    return false;
  }

  /** How many lines were left out, once it is time to say so; 0 until then. It begins anew then. */
  leftOut(now: number, isLast = false): number {
    if (!isLast && now - this.#since < COUNTED_EVERY_MS) return 0;
    const count = this.#leftOut;
    this.#leftOut = 0;
    return count;
  }
}
