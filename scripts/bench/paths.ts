// The command that is measured.

import { ROOT, RUN_FLAGS } from "../tools.ts";

/** tcphup as these sources are, or the program that the variable TCPHUP names. */
export const TCPHUP: readonly [string, ...string[]] =
  Deno.env.get("TCPHUP")?.split(" ") as [string, ...string[]] | undefined ??
    [Deno.execPath(), "run", ...RUN_FLAGS, `${ROOT}cli.ts`];
