// The parser of the command line: from words to a command, its flags and its positional arguments.

import { parseDuration, TIME_WITH_UNIT } from "../../model/duration.ts";
import { expectedWord, suggestWord } from "../../model/closest.ts";
import { UsageError } from "../../model/errors.ts";
import { only } from "../../model/only.ts";
import { SHORTEST_WATCH_MS, time } from "../../model/options.ts";
import { type Command, COMMANDS, type Flag } from "./flag.ts";
import { FLAGS } from "./table.ts";
import { refuseMistyped } from "./mistyped.ts";

/** A flag as it was typed. */
export interface GivenFlag {
  readonly flag: Flag;
  /** True after --not. */
  readonly negated?: boolean;
  /** Empty where a value is missing, undefined for a flag that takes none. */
  readonly value: string | undefined;
}

/** A parsed command line. */
export class Arguments {
  readonly command: Command;
  /** False where the command line names no command and `hup` is meant. */
  readonly named: boolean;
  readonly positionals: readonly string[];
  /** The positionals after `--`, or of `run` from its first positional on; null where there are none of these. */
  readonly afterDoubleDash: readonly string[] | null;
  /** The flags without --not, in the order in which they were typed. */
  readonly flags: readonly GivenFlag[];
  readonly #negated: readonly GivenFlag[];

  constructor(
    command: Command,
    named: boolean,
    positionals: readonly string[],
    flags: readonly GivenFlag[],
    afterDoubleDash: readonly string[] | null = null,
  ) {
    this.command = command;
    this.named = named;
    this.positionals = positionals;
    this.afterDoubleDash = afterDoubleDash;
    this.flags = flags.filter(({ negated }) => !negated);
    this.#negated = flags.filter(({ negated }) => negated);
  }

  /** Returns the flags after --not, as if they had been typed without it. */
  get negated(): Arguments {
    const flags = this.#negated.map(({ flag, value }) => ({ flag, value }));
    return new Arguments(this.command, this.named, [], flags);
  }

  /** Tells whether a flag that takes no value was given. */
  has(name: string): boolean {
    return this.flags.some(({ flag, value }) => flag.name === name && value === undefined);
  }

  /** Tells whether a flag was given, with a value or without one. */
  given(name: string): boolean {
    return this.flags.some(({ flag }) => flag.name === name);
  }

  /** Returns the last value of a flag; undefined where the flag was not given. */
  value(name: string): string | undefined {
    return this.values(name).at(-1);
  }

  /** Returns all values of a flag, in the order in which they were typed. */
  values(name: string): readonly string[] {
    return this.flags.filter(({ flag }) => flag.name === name).map(({ value }) => value!);
  }

  /**
   * Returns the last value of a flag as a time in milliseconds; undefined where the flag was not given.
   *
   * @param longestMs The longest time allowed: unless given, the longest that a timer holds.
   * @throws {UsageError} When the value is no time, or longer than that.
   */
  duration(name: string, longestMs = MAX_DURATION_MS): number | undefined {
    return this.durations(name, longestMs).at(-1);
  }

  /** Returns all values of a flag as times, as `duration` does. */
  durations(name: string, longestMs = MAX_DURATION_MS): number[] {
    return this.flags.filter(({ flag, value }) => flag.name === name && value !== undefined).map(({ flag, value }) =>
      parseDuration(value!, { label: `--${name}`, bare: flag.bare!, longestMs })
    );
  }
}

/** The largest int: TCP_USER_TIMEOUT and timers count milliseconds in an int. */
const MAX_DURATION_MS = 2 ** 31 - 1;

/**
 * Parses the command line. The first positional before `--` names the command; where it is no command, `hup` is meant.
 *
 * @throws {UsageError} For an unknown flag, one that the command does not have, a missing or superfluous value, and a
 * mistyped command.
 */
export function parseArguments(args: readonly string[]): Arguments {
  const { words, flags, unknown, afterDoubleDash } = classifyWords(args);
  const [first] = words.length === afterDoubleDash?.length ? [] : words;
  if (first === "help") return parseHelpCommand(words.slice(1));
  const named = COMMANDS.find((command) => command === first);
  if (named === undefined && first !== undefined) refuseMistyped(first);
  const command = named ?? "hup";
  const hint = `see "tcphup${named ? ` ${named}` : ""} --help"`;
  // A missing value is reported first, since the unknown option may be that value: --max -x.
  for (const given of flags) checkFlag(given, command, hint);
  const [mistyped] = unknown;
  if (mistyped !== undefined) throw new UsageError(`Unknown option "${mistyped}": ${suggestFlag(mistyped) ?? hint}`);
  return new Arguments(command, named !== undefined, named ? words.slice(1) : words, flags, afterDoubleDash);
}

/**
 * Parses `tcphup help [COMMAND]` as `tcphup [COMMAND] --help`.
 *
 * @throws {UsageError} For an unknown command, and for a second word.
 */
function parseHelpCommand([name, surplus]: readonly string[]): Arguments {
  const command = COMMANDS.find((command) => command === name);
  if (command === undefined && name !== undefined) {
    throw new UsageError(`Unknown command "${name}": ${expectedWord(name, COMMANDS)}`);
  }
  if (surplus !== undefined) throw new UsageError(`Unexpected argument "${surplus}": expected tcphup help [COMMAND]`);
  const help = { flag: FLAGS.find(({ name }) => name === "help")!, value: undefined };
  return new Arguments(command ?? "hup", command !== undefined, [], [help]);
}

/** Suggests a flag for an unknown option; null when none is similar. */
function suggestFlag(word: string): string | null {
  const [, name] = /^--([a-z][^=]+)/i.exec(word) ?? [];
  const flag = name === undefined ? null : suggestWord(name.replaceAll("_", "-"), FLAGS.map(({ name }) => name));
  return flag === null ? null : `did you mean "--${flag}"?`;
}

/** @throws {UsageError} When both flags were given, which contradict each other. */
export function refuseTogether(args: Arguments, one: string, other: string, why: string): void {
  if (args.given(one) && args.given(other)) {
    throw new UsageError(`Options --${one} and --${other} cannot be used together: ${why}`);
  }
}

/**
 * Returns the interval of --watch in milliseconds, `otherwise` when it was given none; null without --watch.
 *
 * @throws {UsageError} When the interval is too short.
 */
export function watchInterval<T>(args: Arguments, otherwise: T): number | T | null {
  if (!args.given("watch")) return null;
  const watchMs = args.duration("watch");
  if (watchMs === undefined) return otherwise;
  time(SHORTEST_WATCH_MS)("everyMs", watchMs);
  return watchMs;
}

/** The words of a command line, sorted by kind. */
interface Words {
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
function classifyWords(args: readonly string[]): Words {
  let afterDoubleDash: string[] | null = null;
  let words: string[] = [];
  const flags: GivenFlag[] = [];
  const unknown: string[] = [];
  const rest = [...args];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") {
      afterDoubleDash = rest;
      words = words.concat(rest);
      break;
    }
    if (!isFlag(word)) {
      if (words[0] === "run") {
        afterDoubleDash = [word, ...rest];
        words.push(...afterDoubleDash);
        break;
      }
      words.push(word);
      continue;
    }
    const negated = word === "--not";
    const spelled = parseFlags(negated ? wordAfterNot(rest.shift()) : word);
    if (spelled === null) unknown.push(word);
    else flags.push(...spelled.map((given) => ({ ...takeTimeAfter(takeValue(given, rest), rest), negated })));
  }
  return { words, flags, unknown, afterDoubleDash };
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

function checkFlag({ flag, value, negated }: GivenFlag, command: Command, hint: string): void {
  const spelled = `${negated ? "--not " : ""}--${flag.name}`;
  if (!flag.commands.includes(command)) {
    throw new UsageError(`"tcphup ${command}" has no option "${spelled}": ${hint}`);
  }
  if (flag.value === undefined && value !== undefined) {
    throw new UsageError(`Option "${spelled}" takes no value: write ${spelled}, not ${spelled}=${value}`);
  }
  if (value === "") throw new UsageError(`Option "${spelled}" needs a value: ${spelled} ${flag.value}`);
}

/**
 * Returns DEST and PORT of a command that selects connections; undefined where they were not given.
 *
 * @throws {UsageError} For a third word.
 */
export function destination(args: Arguments): { dst?: string; dport?: string } {
  const { command, positionals } = args;
  if (command === "follow") return { dport: followed(args).port };
  const [dst, dport, surplus] = positionals;
  if (surplus !== undefined) {
    throw new UsageError(`Unexpected argument "${surplus}": expected tcphup ${command} DEST [PORT]`);
  }
  return { dst, dport };
}

/**
 * Returns NAME and PORT of `follow`, which may be one word with a colon in between; undefined where they were not given.
 * With --live-file, there is no NAME.
 *
 * @throws {UsageError} For a word too many.
 */
export function followed(args: Arguments): { name?: string; port?: string } {
  const { positionals } = args;
  const hasFile = args.given("live-file");
  const [name, port, surplus] = hasFile ? [undefined, ...positionals] : positionals;
  const [, nameOfBoth = name, portOfBoth] = port === undefined ? /^([^:]+):([^:]+)$/.exec(name ?? "") ?? [] : [];
  if (surplus === undefined) return { name: nameOfBoth, port: port ?? portOfBoth };
  const usage = hasFile ? "--live-file FILE [PORT]" : "NAME [PORT]";
  throw new UsageError(`Unexpected argument "${surplus}": expected tcphup follow ${usage}`);
}
