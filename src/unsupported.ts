// What this host cannot do at all, whatever is typed: the command line prints the message and exits with 4.

/** This host or user cannot do it. The message says what is missing, on one line. */
export class Unsupported extends Error {
  /** Always `Unsupported`. */
  override readonly name = "Unsupported";
  /** Whether it may be possible a moment later. */
  readonly passing: boolean;

  /**
   * What is missing.
   *
   * @param options.passing Whether it may be there a moment later.
   */
  constructor(message: string, { passing = false }: { passing?: boolean } = {}) {
    super(message);
    this.passing = passing;
  }
}
