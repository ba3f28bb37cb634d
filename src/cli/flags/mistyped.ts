// Words in the place of DEST that look like commands, mistyped or of another tool. Such a word is never looked up in the
// DNS, where a host or a wildcard may have it: `tcphup list` is meant to cut nothing.

import { nearest } from "../../model/closest.ts";
import { UsageError } from "../../model/errors.ts";
import { COMMANDS } from "./flag.ts";

/** The words that are compared with a mistyped one. */
const OWN = [...COMMANDS, "help", "version"] as const;

/** The commands of other tools, by the command of tcphup that does the same. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  "tcphup ls": ["list", "show", "view", "find", "netstat", "ss"],
  "tcphup ls --watch": ["watch", "tail", "top"],
  "tcphup hup": ["stop", "kill", "drop", "cut", "close", "reset", "disconnect", "shutdown", "hangup"],
  "tcphup hup --destroy": ["destroy", "abort"],
  "tcphup keepalive": ["set", "enable"],
  "tcphup run": ["start", "exec", "launch"],
  "tcphup doctor": ["status", "check"],
  "tcphup help": ["usage", "man"],
};

/** The words that begin a filter of ss(8). */
const FILTER_WORDS = ["dst", "src", "dport", "sport", "state", "exclude"];

/**
 * Refuses a first word that may have been meant as a command. A word with a dot or a colon is always DEST.
 *
 * @throws {UsageError} With the command that was probably meant.
 */
export function refuseMistyped(word: string): void {
  const meant = suggestCommand(word);
  if (meant === null) return;
  throw new UsageError(
    `"${word}" is not a command: did you mean "${meant}"? For a host of that name, write "tcphup hup ${word}"`,
  );
}

function suggestCommand(word: string): string | null {
  const typed = word.toLowerCase();
  if (FILTER_WORDS.includes(typed)) return `tcphup -f '${typed} ...'`;
  const [foreign] = Object.entries(FOREIGN).find(([, words]) => words.includes(typed)) ?? [];
  if (foreign !== undefined) return foreign;
  const own = /^[\w-]+$/.test(typed) ? nearest(typed, OWN) : null;
  return own === null ? null : own === "version" ? "tcphup --version" : `tcphup ${own}`;
}
