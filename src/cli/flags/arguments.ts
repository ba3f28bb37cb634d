// The parser of the command line: from words to a command, its flags and its positional arguments.

import { parseDuration } from "../../model/duration.ts";
import { expectedWord, suggestWord } from "../../model/closest.ts";
import { UsageError } from "../../model/errors.ts";
import { SHORTEST_WATCH_MS, time } from "../../model/options.ts";
import { type Command, COMMANDS } from "./flag.ts";
import { FLAGS } from "./table.ts";
import { refuseMistyped } from "./mistyped.ts";
import { classifyWords, type GivenFlag } from "./words.ts";

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

  /** Returns the last value of a flag as `parse` reads it; undefined where the flag was not given. */
  parsed<T>(name: string, parse: (name: string, text: string) => T): T | undefined {
    const text = this.value(name);
    return text === undefined ? undefined : parse(name, text);
  }

  /**
   * Returns the last value of a flag as a time in milliseconds; undefined where the flag was not given.
   *
   * @throws {UsageError} When one of its values is no time, or longer than a timer holds.
   */
  duration(name: string): number | undefined {
    return this.durations(name).at(-1);
  }

  /** Returns all values of a flag as times of at most `longestMs`, as `duration` does. */
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
