// Types of the one function of @std/cli/parse-args that is used, as far as it is used.

/** How the arguments are to be read. */
export interface ParseOptions {
  readonly boolean?: readonly string[];
  readonly string?: readonly string[];
  readonly collect?: readonly string[];
  readonly alias?: Readonly<Record<string, string>>;
  readonly stopEarly?: boolean;
  readonly "--"?: boolean;
  readonly unknown?: (arg: string, key?: string) => unknown;
}

/** Reads command line arguments. */
export function parseArgs(
  args: readonly string[],
  options: ParseOptions,
): { _: string[]; "--"?: string[] } & Record<string, unknown>;
