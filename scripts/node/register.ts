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
const KOFFI = resolve("koffi");

/** The file that `npm:name@version/path` is; undefined for anything else. */
function packageFile(specifier: string): string | undefined {
  const [, name, path = ""] = /^npm:(@?[^@]+)@[^/]*(\/.*)?$/.exec(specifier) ?? [];
  return name && pathToFileURL(resolve(name + path)).href;
}

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (specifier === "koffi") return nextResolve(KOFFI, context);
    const file = packageFile(imports[specifier] ?? specifier);
    if (file !== undefined) return nextResolve(file, context);
    const resolved = nextResolve(specifier, context);
    return resolved.url === DENO ? nextResolve(NODE, context) : resolved;
  },
});
