// `--not`, which turns the meaning of the flag after it around.

import { UsageError } from "../usage_error.ts";
import type { Flag } from "./flags.ts";
import { NEGATED } from "./selection_flags.ts";

const EXPECTED = "expected a selection flag after it, as in --not --dst 10.0.0.0/8";

/**
 * Makes one word of `--not` and the flag after it, so that a parser of words needs to know nothing of it: `--not --dst X`
 * becomes `--not-dst X`.
 *
 * @throws {UsageError} When what follows `--not` is no flag that selects.
 */
export function foldNegations(args: readonly string[], flags: readonly Flag[]): string[] {
  const end = args.indexOf("--");
  const words = end < 0 ? args : args.slice(0, end);
  const folded: string[] = [];
  for (let i = 0; i < words.length; i++) {
    if (words[i] === "--not") folded.push(negated(words[++i], flags));
    else if (words[i].startsWith(`--${NEGATED}`)) throw new UsageError(`Unknown option "${words[i]}": ${EXPECTED}`);
    else folded.push(words[i]);
  }
  return [...folded, ...args.slice(words.length)];
}

function negated(word: string | undefined, flags: readonly Flag[]): string {
  if (word === undefined) throw new UsageError(`Option "--not" stands at the end: ${EXPECTED}`);
  const [, long, short, value = ""] = /^(?:--([^=]+)|-([^-]))(=.*)?$/s.exec(word) ?? [];
  const flag = flags.find(({ name, short: letter }) => name === long || (short !== undefined && letter === short));
  if (!flag?.negatable) throw new UsageError(`Option "--not" cannot stand before "${word}": ${EXPECTED}`);
  return `--${NEGATED}${flag.name}${value}`;
}

/** A flag as it was typed. */
export function spelled(name: string): string {
  return name.startsWith(NEGATED) ? `--not --${name.slice(NEGATED.length)}` : `--${name}`;
}
