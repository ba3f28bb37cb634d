// What this host cannot do at all, whatever is typed: the command line prints the message and exits with 4.

/** This host or user cannot do it. The message says what is missing, on one line. */
export class Unsupported extends Error {
  /** Always `Unsupported`. */
  override readonly name = "Unsupported";
}
