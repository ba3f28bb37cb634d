// The words and flags that select connections.

import type { Selection } from "../selection/selection.ts";
import { UsageError } from "../usage_error.ts";
import { type Arguments, destination } from "./arguments.ts";

/** DEST, PORT and the flags that select. */
export function selectionOf(args: Arguments): Selection {
  const [four, six] = [args.has("ipv4"), args.has("ipv6")];
  if (four && six) throw new UsageError("Options -4 and -6 together select nothing: give one, or neither for both");
  return { ...destination(args), version: four ? 4 : six ? 6 : undefined };
}
