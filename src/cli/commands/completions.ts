// The command `tcphup completions`.

import { UsageError } from "../../model/errors.ts";
import type { Arguments } from "../flags/arguments.ts";
import { bashCompletions } from "../flags/completions/bash.ts";
import { fishCompletions } from "../flags/completions/fish.ts";
import { zshCompletions } from "../flags/completions/zsh.ts";
import { DONE } from "../flags/exit_codes.ts";
import { write } from "../output/terminal.ts";

/** The completions of each shell, as functions that write them. */
export const COMPLETIONS = { bash: bashCompletions, zsh: zshCompletions, fish: fishCompletions } as const;

/** Prints the completions of a shell, or installs those of all shells and the man page. Returns the exit code. */
export async function completions(args: Arguments): Promise<number> {
  const [shell, surplus] = args.positionals;
  if (args.has("install")) {
    if (shell === undefined) return (await import("./install.ts")).install();
    throw new UsageError(`Unexpected argument "${shell}": --install is for all shells, and for the man page`);
  }
  const expected = "expected tcphup completions bash|zsh|fish";
  if (shell === undefined) throw new UsageError(`No shell named: ${expected}, or --install`);
  if (!Object.keys(COMPLETIONS).includes(shell)) throw new UsageError(`Unknown shell "${shell}": ${expected}`);
  if (surplus !== undefined) throw new UsageError(`Unexpected argument "${surplus}": ${expected}`);
  write([COMPLETIONS[shell as keyof typeof COMPLETIONS]()]);
  return DONE;
}
