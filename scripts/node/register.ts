// For `node --import`: lets Node run these sources as they are. Deno's backend gives way to Node's, and packages are
// taken from where packages.ts has installed them, away from the sources.

import { readFileSync } from "node:fs";
import { createRequire, registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

const ROOT = new URL("../../", import.meta.url);
const DENO = new URL("ffi/deno.ts", ROOT).href;
const NODE = new URL("ffi/node.ts", ROOT).href;

const { imports }: { imports: Record<string, string> } = JSON.parse(
  readFileSync(new URL("deno.json", ROOT), "utf8"),
);
const { resolve } = createRequire(new URL("build/node/package.json", ROOT));

/** The URL of the file that `npm:name@version/path` is. */
function packageFile(specifier: string): string {
  const [, name, path = ""] = /^npm:(@?[^@]+)@[^/]*(\/.*)?$/.exec(specifier)!;
  return pathToFileURL(resolve(name + path)).href;
}

/** By the names that the sources have for them. They are found before the hooks are there, which would be asked as well. */
const PACKAGES = new Map([
  ...Object.entries(imports).map(([name, specifier]) => [name, packageFile(specifier)] as const),
  // A path: it is loaded by require().
  ["koffi", resolve("koffi")],
]);

registerHooks({
  resolve(specifier, context, nextResolve) {
    const file = PACKAGES.get(specifier);
    if (file !== undefined) return nextResolve(file, context);
    const resolved = nextResolve(specifier, context);
    return resolved.url === DENO ? nextResolve(NODE, context) : resolved;
  },
});
