// The command `tcphup unpin`.

import { unpin as removePin } from "../../pinned.ts";
import { UsageError } from "../../model/errors.ts";
import type { Arguments } from "../flags/arguments.ts";
import { DONE } from "../flags/exit_codes.ts";

/** Detaches what is pinned under a name. Returns the exit code. */
export function unpin({ positionals }: Arguments): number {
  const [name, surplus] = positionals;
  if (name === undefined) throw new UsageError('No name given: "tcphup ls --pinned" shows what is pinned');
  if (surplus !== undefined) throw new UsageError(`Unexpected argument "${surplus}": expected tcphup unpin NAME`);
  removePin(name);
  return DONE;
}
