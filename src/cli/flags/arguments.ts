// From the words on the command line to a command, its flags and what is left.

import { parseDuration, TIME_WITH_UNIT } from "../../model/duration.ts";
import { expectedWord, meantWord } from "../../model/closest.ts";
import { UsageError } from "../../model/errors.ts";
import { type Command, COMMANDS, type Flag } from "./flag.ts";
import { FLAGS } from "./table.ts";
import { refuseMistyped } from "./mistyped.ts";

/** A flag that was typed. */
export interface GivenFlag {
  readonly flag: Flag;
  /** Whether --not stands before it. */
  readonly negated?: boolean;
  /** Empty where one is missing, undefined for a flag that is on or off. */
  readonly value: string | undefined;
}

/** What was typed. */
export class Arguments {
  readonly command: Command;
  /** Whether the command was named, and not meant by default. */
  readonly named: boolean;
  readonly positionals: readonly string[];
  /** Those of them that stand behind --, or, of run, from the first on; null when there is no -- and no such word. */
  readonly afterDoubleDash: readonly string[] | null;
  /** The flags, in the order in which they were typed. */
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

  /** The flags that --not stands before, as if they had been typed without it. */
  get negated(): Arguments {
    const flags = this.#negated.map(({ flag, value }) => ({ flag, value }));
    return new Arguments(this.command, this.named, [], flags);
  }

  /** Whether a flag without a value was given. */
  has(name: string): boolean {
    return this.flags.some(({ flag, value }) => flag.name === name && value === undefined);
  }

  /** Whether a flag was given, with a value or without one. */
  given(name: string): boolean {
    return this.flags.some(({ flag }) => flag.name === name);
  }

  /** The value of a flag, the last one where there are several; undefined when it was not given. */
  value(name: string): string | undefined {
    return this.values(name).at(-1);
  }

  /** All values of a flag, in the order in which they were typed. */
  values(name: string): readonly string[] {
    return this.flags.filter(({ flag }) => flag.name === name).map(({ value }) => value!);
  }

  /**
   * A time, in milliseconds, as the flag's entry in the table says; undefined when it was not given.
   *
   * @throws {UsageError} When it is none, or longer than `longest_ms`, which is what timers hold unless said.
   */
  duration(name: string, longest_ms = MAX_DURATION_MS): number | undefined {
    return this.durations(name, longest_ms).at(-1);
  }

  /** All times of a flag, as `duration`. */
  durations(name: string, longest_ms = MAX_DURATION_MS): number[] {
    return this.flags.filter(({ flag }) => flag.name === name).map(({ flag, value }) =>
      parseDuration(value!, { label: `--${name}`, bare: flag.bare!, longest_ms })
    );
  }
}

/** What an int of milliseconds holds: TCP_USER_TIMEOUT and timers alike. */
const MAX_DURATION_MS = 2 ** 31 - 1;

/**
 * Reads the command line. The first word that is no flag names the command where it is one and stands before any `--`; else the
 * command is `hup`.
 *
 * @throws {UsageError} For a flag that there is not, or that the command does not have, for a missing value, for a value
 * where there can be none, and for a command that seems mistyped.
 */
export function parseArguments(args: readonly string[]): Arguments {
  const { words, flags, unknown, afterDoubleDash } = tellApart(args);
  const [first] = words.length === afterDoubleDash?.length ? [] : words;
  if (first === "help") return parseHelpCommand(words.slice(1));
  const named = COMMANDS.find((command) => command === first);
  if (named === undefined && first !== undefined) refuseMistyped(first);
  const command = named ?? "hup";
  const hint = `see "tcphup${named ? ` ${named}` : ""} --help"`;
  // A value that is missing may be what looks like an option: --max -x.
  for (const given of flags) check(given, command, hint);
  if (unknown.length > 0) throw new UsageError(`Unknown option "${unknown[0]}": ${meantBy(unknown[0]) ?? hint}`);
  return new Arguments(command, named !== undefined, named ? words.slice(1) : words, flags, afterDoubleDash);
}

/** `tcphup help [COMMAND]`, as `tcphup [COMMAND] --help`. @throws {UsageError} */
function parseHelpCommand([name, surplus]: readonly string[]): Arguments {
  const command = COMMANDS.find((command) => command === name);
  if (command === undefined && name !== undefined) {
    throw new UsageError(`Unknown command "${name}": ${expectedWord(name, COMMANDS)}`);
  }
  if (surplus !== undefined) throw new UsageError(`Unexpected argument "${surplus}": expected tcphup help [COMMAND]`);
  const help = { flag: FLAGS.find(({ name }) => name === "help")!, value: undefined };
  return new Arguments(command ?? "hup", command !== undefined, [], [help]);
}

/** Which flag was meant by a word that is none; null when none is near. */
function meantBy(word: string): string | null {
  const [, name] = /^--([a-z][^=]+)/i.exec(word) ?? [];
  const flag = name === undefined ? null : meantWord(name.replaceAll("_", "-"), FLAGS.map(({ name }) => name));
  return flag === null ? null : `did you mean "--${flag}"?`;
}

/** @throws {UsageError} When both of two flags were given that cannot be meant together. */
export function refuseTogether(args: Arguments, one: string, other: string, why: string): void {
  if (args.given(one) && args.given(other)) {
    throw new UsageError(`Options --${one} and --${other} cannot be used together: ${why}`);
  }
}

/** Looking more often would be a load of its own. */
const SHORTEST_WATCH_MS = 100;

/**
 * How often --watch looks; null without it.
 *
 * @throws {UsageError} When that is too often.
 */
export function watchInterval(args: Arguments): number | null {
  const watch_ms = args.duration("watch") ?? null;
  if (watch_ms === null || watch_ms >= SHORTEST_WATCH_MS) return watch_ms;
  throw new UsageError(`--watch=${args.value("watch")} is too often: expected ${SHORTEST_WATCH_MS}ms or more`);
}

/** The words of a command line by kind. */
interface Words {
  readonly words: readonly string[];
  readonly flags: readonly GivenFlag[];
  /** Words that look like flags and are none. */
  readonly unknown: readonly string[];
  readonly afterDoubleDash: readonly string[] | null;
}

/**
 * Tells flags from other words, as getopt_long(3) does: `--name`, `--name=VALUE`, `--name VALUE`, `-x`, `-xy`,
 * `-xVALUE`, and none after `--`. parseArgs of @std/cli will not do for a tool that acts: there `-n4` and
 * `--dry-run false` are no dry run.
 */
function tellApart(args: readonly string[]): Words {
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
    const spelled = flagsIn(negated ? wordAfterNot(rest.shift()) : word);
    if (spelled === null) unknown.push(word);
    else flags.push(...spelled.map((given) => ({ ...withValue(given, rest), negated })));
  }
  return { words, flags, unknown, afterDoubleDash };
}

function flagsIn(word: string): GivenFlag[] | null {
  return word.startsWith("--") ? longFlag(word) : shortFlags(word);
}

/** @throws {UsageError} When it is not one flag that selects. */
function wordAfterNot(word: string | undefined): string {
  const flags = word !== undefined && isFlag(word) ? flagsIn(word) : null;
  if (flags?.length === 1 && flags[0].flag.negatable) return word!;
  const wrong = word === undefined ? "stands at the end" : `cannot stand before "${word}"`;
  throw new UsageError(`Option "--not" ${wrong}: expected a selection flag after it, as in --not --dst 10.0.0.0/8`);
}

/** A minus alone is a word like any other: to many programs it means standard input. */
function isFlag(word: string): boolean {
  return word.startsWith("-") && word !== "-";
}

/** `--name` or `--name=VALUE`; null when there is no such flag. */
function longFlag(word: string): GivenFlag[] | null {
  const [, name, value] = /^--([^=]*)(?:=(.*))?$/s.exec(word)!;
  const flag = FLAGS.find((flag) => flag.name === name);
  return flag ? [{ flag, value }] : null;
}

/** `-x`, or `-xyz` for `-x -y -z`; what follows the letter of a flag with a value is the value. null as above. */
function shortFlags(word: string): GivenFlag[] | null {
  const flags: GivenFlag[] = [];
  for (let i = 1; i < word.length; i++) {
    const flag = FLAGS.find(({ short }) => short === word[i]);
    if (flag === undefined) return null;
    if (flag.value !== undefined && i + 1 < word.length) return [...flags, { flag, value: word.slice(i + 1) }];
    flags.push({ flag, value: undefined });
  }
  return flags;
}

/** Takes a value from the words that follow, where the flag has to have one and has none yet. */
function withValue({ flag, value }: GivenFlag, rest: string[]): GivenFlag {
  if (value !== undefined || flag.value === undefined) return { flag, value };
  const [next] = rest;
  if (flag.optionalValue !== undefined) return { flag, value: timeIn(rest, flag) ?? flag.optionalValue };
  const missing = next === undefined || (isFlag(next) && (flag.signed ? next.startsWith("--") : !isNegative(next)));
  return { flag, value: missing ? "" : rest.shift() };
}

/**
 * The time behind a flag that may stand alone: one with a unit, which can be no DEST or PORT. It is taken from the words.
 *
 * @throws {UsageError} For a number, which may be meant as a time or as PORT.
 */
function timeIn(rest: string[], { name }: Flag): string | undefined {
  const [next = ""] = rest;
  if (/^\d+$/.test(next)) {
    throw new UsageError(`"--${name} ${next}" may mean a time or PORT: expected --${name}=${next}s, or PORT before it`);
  }
  return TIME_WITH_UNIT.test(next) ? rest.shift() : undefined;
}

/** A negative number that is no flag: a value that has to be refused as what it is. */
function isNegative(word: string): boolean {
  return /^-\d/.test(word) && shortFlags(word) === null;
}

function check({ flag, value, negated }: GivenFlag, command: Command, hint: string): void {
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
 * The DEST and PORT of a command that selects connections, as far as they are given.
 *
 * @throws {UsageError} When there are more words than that.
 */
export function destination({ command, positionals }: Arguments): { dst?: string; dport?: string } {
  const [dst, dport, surplus] = positionals;
  if (surplus !== undefined) {
    throw new UsageError(`Unexpected argument "${surplus}": expected tcphup ${command} DEST [PORT]`);
  }
  return { dst, dport };
}
