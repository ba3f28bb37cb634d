// What a person typed cannot be carried out as typed: the command line prints the message and exits with 2.

/** Input that is wrong. The message says what is wrong and what would be right, and fits on one line. */
export class UsageError extends Error {
  /** Always `UsageError`. */
  override readonly name = "UsageError";
}
