// The kinds of errors that people are told of, each with its exit code.

/** The ways in which an option or a selection can be wrong. */
export type UsageErrorCode =
  /** There is no option of this name. It may be misspelt. */
  | "unknown-option"
  /** The value is of another type than the option takes. */
  | "wrong-type"
  /** The number is outside the range that the option takes, or no number (NaN). */
  | "out-of-range"
  /** The text cannot be read: it is no address, no port, no pattern, no filter, … */
  | "malformed"
  /** The text can be read in several ways, or several things have this name. */
  | "ambiguous"
  /** This host has nothing of this name: no host, service, interface, user, process, container, … */
  | "not-found"
  /** A file of addresses cannot be read, or a name cannot be looked up now. */
  | "unavailable"
  /** The option needs another one, which is not given. */
  | "missing-option"
  /** Options or conditions contradict each other. */
  | "conflict"
  /** The list has no element. It would not restrict the selection. */
  | "empty-list"
  /** The selection has no condition. It would select every connection. */
  | "empty-selection";

/** An option or a selection is wrong. Nothing has been touched. The message says what would be right. */
export class UsageError extends Error {
  /** Always `UsageError`. */
  override readonly name = "UsageError";
  /** The kind of mistake. Codes stay as they are from release to release; messages may change. */
  readonly code: UsageErrorCode;
  /** The option that is wrong: `lingerMs`, `pacing.perSecond`, `not.dst`. undefined where it is not known. */
  readonly option: string | undefined;
  /** The wrong value. undefined where it is not known. */
  readonly value: unknown;

  /** Takes the message, and the facts as far as they are known. Without a code it is `malformed`. */
  constructor(
    message: string,
    { code = "malformed", option, value, cause }: {
      code?: UsageErrorCode;
      option?: string;
      value?: unknown;
      cause?: unknown;
    } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.option = option;
    this.value = value;
  }
}

/** This host or user cannot do it at all. The message says what is missing, on one line. */
export class UnsupportedError extends Error {
  /** Always `UnsupportedError`. */
  override readonly name = "UnsupportedError";
  /** `true` when it may be possible a moment later. */
  readonly passing: boolean;

  /**
   * Takes what is missing.
   *
   * @param options.passing Whether it may be there a moment later.
   */
  constructor(message: string, { passing = false, cause }: { passing?: boolean; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.passing = passing;
  }
}

/** The command of `tcphup run` cannot be run. The message says why; `status` is what a shell would exit with. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  /** 127: there is no such command. 126: there is, and it cannot be executed. */
  readonly status: 126 | 127;

  constructor(message: string, status: 126 | 127) {
    super(message);
    this.status = status;
  }
}
