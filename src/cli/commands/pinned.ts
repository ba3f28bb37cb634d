// The command `tcphup ls --pinned`.

import { listPinned as readPinned } from "../../pinned.ts";
import { UsageError } from "../../model/errors.ts";
import type { Arguments } from "../flags/arguments.ts";
import { DONE } from "../flags/exit_codes.ts";
import type { PinnedDocument } from "../output/documents.ts";
import { jsonDocument, jsonLines } from "../output/json.ts";
import { pinnedLines } from "../output/pinned.ts";
import { print, write } from "../output/terminal.ts";

/** The flags that may stand beside --pinned. */
const BESIDE = ["pinned", "json", "json-lines", "quiet", "verbose", "color"];

/** Lists what is pinned. Returns the exit code. */
export function listPinned(args: Arguments): number {
  const [surplus] = args.positionals;
  if (surplus !== undefined) throw new UsageError(`Unexpected argument "${surplus}": --pinned lists no connections`);
  const other = [...args.flags, ...args.negated.flags].find(({ flag }) => !BESIDE.includes(flag.name));
  if (other) {
    throw new UsageError(`Options --pinned and --${other.flag.name} cannot be used together: it lists no connections`);
  }
  const pinned = readPinned();
  const head: Omit<PinnedDocument, "pinned"> = { schema: 1, command: "ls" };
  if (args.has("json")) write(jsonDocument(head, "pinned", pinned));
  else if (args.has("json-lines")) write(jsonLines(pinned));
  else if (!args.has("quiet")) print(pinnedLines(pinned, args.has("verbose")));
  return DONE;
}
