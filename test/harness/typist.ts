// A person at the keyboard of a shell, who uses the Tab key: programs/typist.py.

import { pythonProgram } from "./peer.ts";
import { run } from "./process.ts";

/** What a shell is to show, and to do with the words of a command, for the typist to read it. */
export const TYPIST_SETUP = `
PS1='PROMPT>'
tcphup() { printf '\\2'; printf '%s\\n' "$@"; printf '\\3'; }
`;

/**
 * Types commands into a shell, "\t" standing for the Tab key.
 *
 * @returns The words that each was run with once its completions were in place, without the first.
 */
export async function type(
  shell: readonly string[],
  commands: readonly string[],
  env: Record<string, string>,
): Promise<string[][]> {
  const { stdout } = await run(pythonProgram("typist.py", ...shell), { stdin: JSON.stringify(commands), env });
  return JSON.parse(stdout);
}
