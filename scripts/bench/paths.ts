// Where things are.

/** The path of a file: URL. */
export function fromFileUrl(url: URL): string {
  return decodeURIComponent(url.pathname);
}

/** tcphup as these sources are, or the program that the variable TCPHUP names. */
export const TCPHUP: readonly string[] = Deno.env.get("TCPHUP")?.split(" ") ??
  [Deno.execPath(), "run", "--allow-ffi", fromFileUrl(new URL("../../cli.ts", import.meta.url))];
