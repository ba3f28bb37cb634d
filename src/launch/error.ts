// What ends a launch before the program runs.

/** The command cannot be run. The message says why; `status` is what a shell would exit with. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  /** 127: there is no such command. 126: there is, and it cannot be executed. */
  readonly status: 126 | 127;

  constructor(message: string, status: 126 | 127) {
    super(message);
    this.status = status;
  }
}
