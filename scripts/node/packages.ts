// What Node needs of npm to run these sources: koffi, and what deno.json names. It is installed under build/, because a
// package.json or a node_modules beside the sources would have Deno, and `deno compile`, treat them as Node's.

import description from "../../deno.json" with { type: "json" };
import { run } from "../process.ts";
import { BUILD } from "../tools.ts";

/** The version of koffi that `ffi/node.ts` is written for. */
export const KOFFI = "3.3.4";

/** The oldest Node that is supported: the first that strips types without being asked to. */
export const OLDEST_NODE = "22.18";

/** Installs the packages. */
export async function installPackages(): Promise<void> {
  const directory = `${BUILD}node`;
  const named = Object.values(description.imports).map((specifier) => /^npm:(@?[^@]+@[^/]+)/.exec(specifier)?.[1]);
  const packages = new Set([`koffi@${KOFFI}`, ...named.filter((name) => name !== undefined)]);
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/package.json`, JSON.stringify({ private: true, type: "module" }));
  await run(["npm", "install", "--no-save", "--no-audit", "--no-fund", ...packages], { cwd: directory });
}
