// A bound on lines whose number other processes decide: whoever opens connections must not fill a log.

/** A token bucket: its size, and the tokens that it gains per second. */
const LIMIT = { atOnce: 200, perSecond: 10 };
/** The interval at which omitted lines are reported. */
const REPORTED_EVERY_MS = 10_000;

/** Decides which lines are written, and counts the omitted ones. */
export class Throttle {
  #tokens = LIMIT.atOnce;
  #latest: number;
  #omitted = 0;
  #since = 0;

  /** @param now The current time in milliseconds, here and below. */
  constructor(now: number) {
    this.#latest = now;
  }

  /** Takes a token. Returns `false`, and counts an omitted line, when there is none. */
  admits(now: number): boolean {
    this.#tokens = Math.min(LIMIT.atOnce, this.#tokens + (now - this.#latest) * LIMIT.perSecond / 1000);
    this.#latest = now;
    if (this.#tokens >= 1) {
      this.#tokens--;
      return true;
    }
    if (this.#omitted === 0) this.#since = now;
    this.#omitted++;
    return false;
  }

  /** Returns the number of omitted lines and resets it; 0 until the next report is due. */
  takeOmitted(now: number, isLast = false): number {
    if (!isLast && now - this.#since < REPORTED_EVERY_MS) return 0;
    const count = this.#omitted;
    this.#omitted = 0;
    return count;
  }
}
