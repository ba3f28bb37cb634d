// The command `tcphup completions`: prints the completions of a shell, or installs those of each and the man page where
// shells and man(1) look for them.

import { isRoot, readBeginning, replaceFile } from "../../linux/files.ts";
import { environment } from "../../linux/proc/process.ts";
import { UsageError } from "../../model/errors.ts";
import type { Arguments } from "../flags/arguments.ts";
import { bashCompletions } from "../flags/completions/bash.ts";
import { fishCompletions } from "../flags/completions/fish.ts";
import { zshCompletions } from "../flags/completions/zsh.ts";
import { DONE, REFUSED } from "../flags/exit_codes.ts";
import { manPage } from "../flags/man_page.ts";
import { print, warn, write } from "../output/terminal.ts";

/** The completions of each shell, as functions that write them. */
export const COMPLETIONS = { bash: bashCompletions, zsh: zshCompletions, fish: fishCompletions } as const;

/** Prints the completions of a shell, or installs those of all shells and the man page. Returns the exit code. */
export function completions(args: Arguments): number {
  const [shell, surplus] = args.positionals;
  if (args.has("install")) {
    if (shell === undefined) return install();
    throw new UsageError(`Unexpected argument "${shell}": --install is for all shells, and for the man page`);
  }
  const expected = "expected tcphup completions bash|zsh|fish";
  if (shell === undefined) throw new UsageError(`No shell named: ${expected}, or --install`);
  if (!Object.keys(COMPLETIONS).includes(shell)) throw new UsageError(`Unknown shell "${shell}": ${expected}`);
  if (surplus !== undefined) throw new UsageError(`Unexpected argument "${surplus}": ${expected}`);
  write([COMPLETIONS[shell as keyof typeof COMPLETIONS]()]);
  return DONE;
}

/** A file to be installed. */
interface Installed {
  readonly make: () => string;
  /** Where it is for one user, below $XDG_DATA_HOME. */
  readonly user: string;
  /** Where it is for all users. */
  readonly host: string;
}

const FILES: readonly Installed[] = [
  {
    make: bashCompletions,
    user: "bash-completion/completions/tcphup",
    host: "/usr/local/share/bash-completion/completions/tcphup",
  },
  { make: zshCompletions, user: "zsh/site-functions/_tcphup", host: "/usr/local/share/zsh/site-functions/_tcphup" },
  // fish looks into /usr/local/share only where XDG_DATA_DIRS says so.
  { make: fishCompletions, user: "fish/vendor_completions.d/tcphup.fish", host: "/etc/fish/completions/tcphup.fish" },
  { make: manPage, user: "man/man1/tcphup.1", host: "/usr/local/share/man/man1/tcphup.1" },
];

/** How each of the files begins, whichever version has made it. */
const OURS = /^(?:#compdef tcphup\n)?# \w+ completions for tcphup, made by "tcphup|^\.TH TCPHUP 1 /;

/** Installs the files, for all users as root, otherwise for the user. Prints their paths. Returns the exit code. */
function install(): number {
  const data = isRoot() ? null : dataDirectory();
  const files = FILES.map(({ make, user, host }) => ({ make, path: data === null ? host : `${data}/${user}` }));
  for (const { path } of files) {
    const beginning = readBeginning(path);
    if (beginning === null || OURS.test(beginning)) continue;
    warn(`Nothing was written: ${path} was not made by tcphup; move it away first`);
    return REFUSED;
  }
  for (const { make, path } of files) {
    replaceFile(path, make());
    print([path]);
  }
  if (data !== null) warn(`zsh needs this in ~/.zshrc, before compinit: fpath=(${data}/zsh/site-functions $fpath)`);
  return DONE;
}

/** Returns the directory of the user's data by the XDG Base Directory Specification, in which a relative path is none. */
function dataDirectory(): string {
  const [data, home] = ["XDG_DATA_HOME", "HOME"].map((name) => environment(name)?.replace(/\/+$/, ""));
  if (data?.startsWith("/")) return data;
  if (home?.startsWith("/")) return `${home}/.local/share`;
  throw new Error("Nothing was written: HOME, below which your files are to be, is not set");
}
