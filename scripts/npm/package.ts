// Writes what the package for npm has beside its modules, whatever compiles those: package.json, README.md, the man page.

import description from "../../deno.json" with { type: "json" };
import { manPage } from "../../src/cli/flags/man_page.ts";
import { OLDEST_NODE } from "../node/packages.ts";
import { REPOSITORY, ROOT } from "../tools.ts";

const LIBRARY = "./esm/mod.js";
const TYPES = "./esm/mod.d.ts";

/**
 * package.json. There are ES modules only: every Node that `engines` allows loads them with require(), too. `main` and
 * `types` are for tools that do not read `exports`. npm links man pages only from an array.
 */
export const manifest = {
  name: "tcphup",
  version: description.version,
  description: "Hang up on TCP connections from outside the programs that hold them",
  keywords: ["tcp", "failover", "keepalive", "connection", "shutdown", "netlink"],
  homepage: `${REPOSITORY}#readme`,
  repository: { type: "git", url: `git+${REPOSITORY}.git` },
  bugs: `${REPOSITORY}/issues`,
  license: description.license,
  type: "module",
  main: LIBRARY,
  types: TYPES,
  exports: { ".": { types: TYPES, default: LIBRARY }, "./package.json": "./package.json" },
  bin: { tcphup: "esm/cli.js" },
  man: ["tcphup.1"],
  files: ["esm", "tcphup.1"],
  sideEffects: false,
  engines: { node: `>=${OLDEST_NODE}` },
  os: ["linux"],
  cpu: ["x64", "arm64"],
  libc: ["glibc"],
  // Exactly what is tested: it runs with all the rights of tcphup.
  dependencies: { koffi: description.imports.koffi.replace("npm:koffi@", "") },
};

/** What README.md says in a checkout, and what it says on npm instead. */
const ON_NPM: readonly (readonly [string, string])[] = [
  ["This runs the demonstration above, and needs", "In a checkout, this runs the demonstration above. It needs"],
  [`from "${description.name}"`, `from "${manifest.name}"`],
];

/** Returns the text of the page that npm shows. */
function readme(): string {
  return ON_NPM.reduce((text, [here, there]) => {
    if (!text.includes(here)) throw new Error(`README.md no longer says what is replaced for npm: ${here}`);
    return text.replace(here, there);
  }, Deno.readTextFileSync(`${ROOT}README.md`));
}

/** Writes all files but the modules into `directory`. */
export async function completePackage(directory: string): Promise<void> {
  await Deno.writeTextFile(`${directory}/package.json`, `${JSON.stringify(manifest, null, 2)}\n`);
  await Deno.writeTextFile(`${directory}/README.md`, readme());
  await Deno.writeTextFile(`${directory}/tcphup.1`, manPage());
  await Deno.copyFile(`${ROOT}LICENSE.txt`, `${directory}/LICENSE.txt`);
}
