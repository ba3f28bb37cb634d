// Words in the place of DEST that are commands, mistyped or another tool's. One of them may be a host as well, or resolve
// because the DNS has a wildcard: it is never looked up, since whoever types `tcphup list` wants nothing cut.

import { nearest } from "../../model/closest.ts";
import { UsageError } from "../../model/errors.ts";
import { COMMANDS } from "./flag.ts";

/** The words that may be mistyped: those that do something themselves. */
const OWN = [...COMMANDS, "help", "version"] as const;

/** What people type who know another tool, by what does it here. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  "tcphup ls": ["list", "show", "view", "find", "netstat", "ss"],
  "tcphup ls --watch": ["watch", "follow", "tail", "top"],
  "tcphup hup": ["stop", "kill", "drop", "cut", "close", "reset", "disconnect", "shutdown", "hangup"],
  "tcphup hup --destroy": ["destroy", "abort"],
  "tcphup keepalive": ["set", "enable"],
  "tcphup run": ["start", "exec", "launch"],
  "tcphup doctor": ["status", "check"],
  "tcphup help": ["usage", "man"],
};

/** Words that begin a filter of ss(8). */
const FILTER_WORDS = ["dst", "src", "dport", "sport", "state", "exclude"];

/**
 * Refuses a first word that can have been meant as a command. What has a dot or a colon in it cannot.
 *
 * @throws {UsageError}
 */
export function refuseMistyped(word: string): void {
  const meant = meantBy(word);
  if (meant === null) return;
  throw new UsageError(
    `"${word}" is not a command: did you mean "${meant}"? For a host of that name, write "tcphup hup ${word}"`,
  );
}

function meantBy(word: string): string | null {
  const typed = word.toLowerCase();
  if (FILTER_WORDS.includes(typed)) return `tcphup -f '${typed} ...'`;
  const [foreign] = Object.entries(FOREIGN).find(([, words]) => words.includes(typed)) ?? [];
  if (foreign !== undefined) return foreign;
  const own = /^[\w-]+$/.test(typed) ? nearest(typed, OWN) : null;
  return own === null ? null : own === "version" ? "tcphup --version" : `tcphup ${own}`;
}
