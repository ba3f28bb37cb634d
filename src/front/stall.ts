// When a process is stuck: one call of it has not returned for a second, during which it slept and took no processor time.
// Time counts only while it is looked at, so that who was stopped, or had no processor, is not taken for stuck.

/** What is seen of a process at one moment. */
export interface Sample {
  /** The number of the call that it is in; null between two calls. */
  readonly call: number | null;
  /** Its state, as proc_pid_stat(5) has it. */
  readonly state: string;
  /** The processor time that it has taken, in any unit. */
  readonly cpu: number;
  /** When it was looked at, in milliseconds. */
  readonly at: number;
}

/** Sleeping, with or without being open to signals. A process that is stopped (T, t) or runs (R) waits for nobody. */
const ASLEEP = ["S", "D"];

/** Between two looks no more time counts than this: whoever looks may have been stopped too. */
const LONGEST_GAP_MS = 500;

/** Finds out from one look to the next. */
export class StallDetector {
  #last: Sample | null = null;
  #waited_ms = 0;

  /** For how long the call has not returned, in milliseconds; 0 when the process is not waiting in one. */
  observe(sample: Sample): number {
    const last = this.#last;
    this.#last = sample;
    const waits = last !== null && sample.call !== null && sample.call === last.call && sample.cpu === last.cpu &&
      ASLEEP.includes(sample.state);
    this.#waited_ms = waits ? this.#waited_ms + Math.min(sample.at - last.at, LONGEST_GAP_MS) : 0;
    return this.#waited_ms;
  }
}
