// What the scripts that build and release share.

import { createHash } from "node:crypto";
import { UsageError } from "../src/model/errors.ts";

/** The project's directory, with a slash at the end. */
export const ROOT: string = decodeURIComponent(new URL("../", import.meta.url).pathname);

/** Where what is built goes. */
export const BUILD = `${ROOT}build/`;

/** Where a release is built. */
export const RELEASE = `${BUILD}release/`;

/** Where the project is published. */
export const REPOSITORY = "https://github.com/tcphup/tcphup";

/**
 * What `deno run` is told for tcphup, as the first line of cli.ts says: to draw nothing itself; that it may call libc; that no module comes from
 * anywhere else, as a deno.json in a directory above could say that others may write to; that V8 is to move objects out of
 * the young generation early, since they are here to stay, and its pages would be half of the memory; and that V8 is to do
 * without its slowest compiler, which takes more time and memory than a command gets back from it.
 */
export const RUN_FLAGS: readonly string[] = (() => {
  const [, flags = ""] = / deno run (.*)/.exec(Deno.readTextFileSync(`${ROOT}cli.ts`))!;
  return flags.split(" ");
})();

/** Ends the script and says why: with 2 where its arguments are wrong, otherwise with 1. */
export function fail(error: unknown): never {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(error instanceof UsageError ? 2 : 1);
}

/** The SHA-256 of a file, in hexadecimal. */
export function sha256(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}
