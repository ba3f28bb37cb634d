// The arguments of a script.

import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../src/model/errors.ts";

/** What a script takes. */
export interface Accepted<Flag extends string, Switch extends string> {
  /** Flags that take a value: `--output FILE`. */
  flags?: readonly Flag[];
  /** Flags that take none: `--check`. */
  switches?: readonly Switch[];
  /** What its operands are called in a message; it takes none when this is left out. */
  operands?: string;
}

/** What a script was given. Operands are in `_`. */
export type Given<Flag extends string, Switch extends string> =
  & { [flag in Flag]?: string }
  & { [name in Switch]: boolean }
  & { _: string[] };

/**
 * Reads the arguments of a script.
 *
 * @throws {UsageError} Of an argument that the script does not take, and of a flag without its value.
 */
export function readArguments<Flag extends string = never, Switch extends string = never>(
  args: readonly string[],
  { flags = [], switches = [], operands }: Accepted<Flag, Switch>,
): Given<Flag, Switch> {
  const taken = [...flags.map((name) => `--${name} VALUE`), ...switches.map((name) => `--${name}`), operands ?? []];
  const expected = taken.length > 0 ? taken.flat().join(", ") : "none";
  const unknown = (arg: string, key?: string) => {
    if (key === undefined && operands !== undefined) return;
    throw new UsageError(`Unknown argument "${arg}": expected ${expected}`);
  };
  const given = parseArgs(args, { string: [...flags, "_"], boolean: switches, unknown }) as Given<Flag, Switch>;
  if (operands === undefined) given._.forEach((arg) => unknown(arg));
  const empty = flags.find((name) => given[name] === "");
  if (empty !== undefined) throw new UsageError(`--${empty} needs a value`);
  return given;
}
