// Tells the flags of a command line from its other words, and gives them their values.

import { TIME_WITH_UNIT } from "../../model/duration.ts";
import { UsageError } from "../../model/errors.ts";
import { only } from "../../model/only.ts";
import type { Flag } from "./flag.ts";
import { FLAGS } from "./table.ts";

/** A flag as it was typed. */
export interface GivenFlag {
  readonly flag: Flag;
  /** True after --not. */
  readonly negated?: boolean;
  /** Empty where a value is missing, undefined for a flag that takes none. */
  readonly value: string | undefined;
}

/** The words of a command line, sorted by kind. */
export interface Words {
  readonly words: readonly string[];
  readonly flags: readonly GivenFlag[];
  /** The words that begin with a dash and are no flags. */
  readonly unknown: readonly string[];
  readonly afterDoubleDash: readonly string[] | null;
}

/**
 * Tells flags from other words as getopt_long(3) does: `--name`, `--name=VALUE`, `--name VALUE`, `-x`, `-xy` and
 * `-xVALUE` are flags, and nothing after `--` is one. parseArgs of @std/cli reads `-n4` and `--dry-run false` as no dry
 * run, which would cut connections.
 */
export function classifyWords(args: readonly string[]): Words {
  const words: string[] = [];
  const flags: GivenFlag[] = [];
  const unknown: string[] = [];
  const rest = [...args];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--" || (words[0] === "run" && !isFlag(word))) {
      const afterDoubleDash = word === "--" ? rest : [word, ...rest];
      return { words: [...words, ...afterDoubleDash], flags, unknown, afterDoubleDash };
    }
    if (!isFlag(word)) {
      words.push(word);
      continue;
    }
    const negated = word === "--not";
    const spelled = parseFlags(negated ? wordAfterNot(rest.shift()) : word);
    if (spelled === null) unknown.push(word);
    else flags.push(...spelled.map((given) => ({ ...takeTimeAfter(takeValue(given, rest), rest), negated })));
  }
  return { words, flags, unknown, afterDoubleDash: null };
}

function parseFlags(word: string): GivenFlag[] | null {
  return word.startsWith("--") ? parseLongFlag(word) : parseShortFlags(word);
}

/** @throws {UsageError} When the word after --not is not exactly one selection flag. */
function wordAfterNot(word: string | undefined): string {
  const flags = word !== undefined && isFlag(word) ? parseFlags(word) : null;
  if (word !== undefined && only(flags ?? [])?.flag.negatable) return word;
  const wrong = word === undefined ? "stands at the end" : `cannot stand before "${word}"`;
  throw new UsageError(`Option "--not" ${wrong}: expected a selection flag after it, as in --not --dst 10.0.0.0/8`);
}

/** A single dash is no flag: to many programs it means standard input. */
function isFlag(word: string): boolean {
  return word.startsWith("-") && word !== "-";
}

/** Parses `--name` or `--name=VALUE`; null when there is no such flag. */
function parseLongFlag(word: string): GivenFlag[] | null {
  const [, name, value] = /^--([^=]*)(?:=(.*))?$/s.exec(word)!;
  const flag = FLAGS.find((flag) => flag.name === name);
  return flag ? [{ flag, value }] : null;
}

/** Parses `-x`, `-xyz` as `-x -y -z`, and `-xVALUE`; null when one of them is no flag. */
function parseShortFlags(word: string): GivenFlag[] | null {
  const flags: GivenFlag[] = [];
  for (let i = 1; i < word.length; i++) {
    const flag = FLAGS.find(({ short }) => short === word[i]);
    if (flag === undefined) return null;
    if (flag.value !== undefined && i + 1 < word.length) return [...flags, { flag, value: word.slice(i + 1) }];
    flags.push({ flag, value: undefined });
  }
  return flags;
}

/** Takes the value from the following words where the flag needs one and has none yet. */
function takeValue({ flag, value }: GivenFlag, rest: string[]): GivenFlag {
  if (value !== undefined || flag.value === undefined) return { flag, value };
  const [next] = rest;
  if (flag.optionalValue !== undefined) {
    return { flag, value: takeTime(rest, `--${flag.name}`) ?? flag.optionalValue ?? undefined };
  }
  const missing = next === undefined || (isFlag(next) && (flag.signed ? next.startsWith("--") : !isNegative(next)));
  return { flag, value: missing ? "" : rest.shift() };
}

/** Takes the time that may follow the value of a flag. */
function takeTimeAfter({ flag, value }: GivenFlag, rest: string[]): GivenFlag {
  if (!flag.thenTime || value === undefined || value === "" || value.includes(" ")) return { flag, value };
  const time = takeTime(rest, `--${flag.name} ${value}`);
  return { flag, value: time === undefined ? value : `${value} ${time}` };
}

/**
 * Takes the time after a flag whose value is optional. Only a time with a unit counts, since it can be no DEST or PORT.
 *
 * @throws {UsageError} For a number, which may be meant as a time or as PORT.
 */
function takeTime(rest: string[], flag: string): string | undefined {
  const [next = ""] = rest;
  if (/^\d+$/.test(next)) {
    const time = flag.includes(" ") ? `${flag} ${next}s` : `${flag}=${next}s`;
    throw new UsageError(`"${flag} ${next}" may mean a time or PORT: expected ${time}, or PORT before it`);
  }
  return TIME_WITH_UNIT.test(next) ? rest.shift() : undefined;
}

/** Tells a negative number from flags, so that a message can quote it as a bad value. */
function isNegative(word: string): boolean {
  return /^-\d/.test(word) && parseShortFlags(word) === null;
}
