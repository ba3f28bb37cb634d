// Installs what Node needs to run these sources: the packages that deno.json names. They stand under build/, because a
// node_modules beside the sources would have Deno, and `deno compile`, treat them as Node's.

import { run } from "../process.ts";
import { BUILD, ROOT } from "../tools.ts";

/** The oldest Node that is supported: the first that strips types without being asked to. */
export const OLDEST_NODE = "22.18";

/** Installs the packages with the integrity that deno.lock gives. None of their install scripts is run. */
export async function installPackages(): Promise<void> {
  const directory = `${BUILD}node`;
  await Deno.mkdir(directory, { recursive: true });
  for (const file of ["deno.json", "deno.lock"]) await Deno.copyFile(ROOT + file, `${directory}/${file}`);
  await run([Deno.execPath(), "install", "--frozen", "--node-modules-dir=auto"], { cwd: directory });
}
