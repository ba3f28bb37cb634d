// Detection of a stuck process: a call has not returned, while the process slept and took no processor time. The time
// between two samples counts up to a limit, so that a stop of the watching process does not count as a stall of the
// watched one.

/** A sample of a process. */
export interface Sample {
  /** The number of the call that the process is in; null between two calls. */
  readonly call: number | null;
  /** The process's state, as in proc_pid_stat(5). */
  readonly state: string;
  /** The processor time that the process has taken, in any unit. */
  readonly cpu: number;
  /** The time of the sample, in milliseconds. */
  readonly at: number;
}

/** The states of a sleeping process, interruptible or not. A process that is stopped (T, t) or runs (R) is not stuck. */
const ASLEEP = ["S", "D"];

/** The most time that counts between two samples: the watching process may have been stopped too. */
const LONGEST_GAP_MS = 500;

/** Adds up, from sample to sample, how long a process has been stuck. */
export class StallDetector {
  #last: Sample | null = null;
  #waitedMs = 0;

  /** Takes a sample. Returns for how long the call has not returned, in milliseconds; 0 when the process is not stuck. */
  observe(sample: Sample): number {
    const last = this.#last;
    this.#last = sample;
    const waits = last !== null && sample.call !== null && sample.call === last.call && sample.cpu === last.cpu &&
      ASLEEP.includes(sample.state);
    this.#waitedMs = waits ? this.#waitedMs + Math.min(sample.at - last.at, LONGEST_GAP_MS) : 0;
    return this.#waitedMs;
  }
}
