// Where things are.

import { ROOT, RUN_FLAGS } from "../tools.ts";

/** The path of a file: URL. */
export function fromFileUrl(url: URL): string {
  return decodeURIComponent(url.pathname);
}

/** tcphup as these sources are, or the program that the variable TCPHUP names. */
export const TCPHUP: readonly [string, ...string[]] =
  Deno.env.get("TCPHUP")?.split(" ") as [string, ...string[]] | undefined ??
    [Deno.execPath(), "run", ...RUN_FLAGS, `${ROOT}cli.ts`];
