// A line of the benchmark's table.

/** One measurement. */
export interface Row {
  readonly name: string;
  /** How many connections, or whatever it is about. */
  readonly n: number;
  /** The median of whole runs, in milliseconds. */
  readonly median_ms: number;
  /** What it is compared with. */
  readonly against: string;
  readonly ratio: number;
  /** Where the time went, or what else there is to say. */
  readonly note: string;
}
