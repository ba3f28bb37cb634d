// From the words on the command line to a command, its flags and what is left.

// @ts-types="./parse_args.d.ts"
import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../usage_error.ts";
import { type Command, type Flag, FLAGS } from "./flags.ts";

/** What was typed. */
export class Arguments {
  readonly command: Command;
  /** Whether the command was named, and not meant by default. */
  readonly named: boolean;
  readonly positionals: readonly string[];
  readonly #values: Record<string, unknown>;

  constructor(command: Command, named: boolean, positionals: readonly string[], values: Record<string, unknown>) {
    this.command = command;
    this.named = named;
    this.positionals = positionals;
    this.#values = values;
  }

  /** Whether a flag without a value was given. */
  has(name: string): boolean {
    return this.#values[name] === true;
  }

  /** Whether a flag was given, with a value or without one. */
  given(name: string): boolean {
    return isGiven(this.#values[name]);
  }

  /** The value of a flag, undefined when it was not given. */
  value(name: string): string | undefined {
    return (this.#values[name] as string[] | undefined)?.at(-1);
  }

  /** A time, in milliseconds. A number without a unit is in the unit that the flag is documented with. */
  duration(name: string, unit: "ms" | "s"): number | undefined {
    const text = this.value(name);
    if (text === undefined) return undefined;
    const [, digits, written = unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
    const milliseconds = Number(digits) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[written as "ms"];
    if (digits !== undefined && milliseconds <= MAX_DURATION_MS) return Math.round(milliseconds);
    throw new UsageError(
      `Not a time for --${name}: "${text}": expected ${unit === "s" ? "seconds" : "milliseconds"} as a number, or a ` +
        "number with a unit, such as 500ms, 5s or 2m, up to 24 days",
    );
  }
}

/** What an int of milliseconds holds: TCP_USER_TIMEOUT and timers alike. */
const MAX_DURATION_MS = 2 ** 31 - 1;

const COMMANDS: readonly Command[] = ["hup", "ls", "keepalive", "plan", "doctor"];

/**
 * Reads the command line. The first word names the command where it is one; else the command is `hup`.
 *
 * @throws {UsageError} For a flag that there is not, or that the command does not have, and for a missing value.
 */
export function parseArguments(args: readonly string[]): Arguments {
  const unknown: string[] = [];
  const valued = FLAGS.filter(({ value }) => value !== undefined).map(({ name }) => name);
  const { _: words, ...values } = parseArgs(spellOut(args), {
    string: ["_", ...valued],
    boolean: FLAGS.filter(({ value }) => value === undefined).map(({ name }) => name),
    collect: valued,
    alias: Object.fromEntries(FLAGS.flatMap(({ name, short }) => short ? [[short, name]] : [])),
    unknown: (arg, key) => key === undefined || unknown.push(arg),
  });
  const named = COMMANDS.find((command) => command === words[0]);
  const command = named ?? "hup";
  const hint = `see "tcphup${named ? ` ${named}` : ""} --help"`;
  if (unknown.length > 0) throw new UsageError(`Unknown option "${unknown[0]}": ${hint}`);
  for (const flag of FLAGS) check(flag, values[flag.name], command, hint);
  refuseIdleValues(args);
  return new Arguments(command, named !== undefined, named ? words.slice(1) : words, values);
}

/** Writes those values after an equals sign that parseArgs would not, or not always, take for values. */
function spellOut(args: readonly string[]): string[] {
  const spelled: string[] = [];
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--") return [...spelled, ...args.slice(i)];
    const flag = FLAGS.find(({ name, alone, signed }) => (alone || signed) && args[i] === `--${name}`);
    const value = flag?.alone ?? (flag && args[i + 1]?.startsWith("-") ? args[++i] : undefined);
    spelled.push(value === undefined ? args[i] : `--${flag!.name}=${value}`);
  }
  return spelled;
}

function isGiven(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value === true;
}

function check(flag: Flag, value: unknown, command: Command, hint: string): void {
  if (!isGiven(value)) return;
  if (!flag.commands.includes(command)) {
    throw new UsageError(`"tcphup ${command}" has no option "--${flag.name}": ${hint}`);
  }
  if (Array.isArray(value) && value.includes("")) {
    throw new UsageError(`Option "--${flag.name}" needs a value: --${flag.name} ${flag.value}`);
  }
}

/** parseArgs takes `--json=yes` for `--json`; a person who wrote it meant something else. */
function refuseIdleValues(args: readonly string[]): void {
  for (const arg of args) {
    if (arg === "--") return;
    const [, name, value] = /^--([^=]+)=(.*)$/.exec(arg) ?? [];
    const flag = FLAGS.find((flag) => flag.name === name);
    if (flag && flag.value === undefined) {
      throw new UsageError(`Option "--${name}" takes no value, but was given "${value}"`);
    }
  }
}

/** @throws {UsageError} When both of two flags were given that cannot be meant together. */
export function exclude(args: Arguments, one: string, other: string, why: string): void {
  if (args.given(one) && args.given(other)) {
    throw new UsageError(`Options --${one} and --${other} exclude each other: ${why}`);
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
  const watch_ms = args.duration("watch", "s") ?? null;
  if (watch_ms === null || watch_ms >= SHORTEST_WATCH_MS) return watch_ms;
  throw new UsageError(`--watch=${args.value("watch")} is too often: expected ${SHORTEST_WATCH_MS}ms or more`);
}

/**
 * The DEST and PORT of a command that selects connections.
 *
 * @throws {UsageError} When there are more words than that.
 */
export function destination({ command, positionals }: Arguments): { dst?: string; dport?: string } {
  const [dst, dport, surplus] = positionals;
  if (surplus !== undefined) {
    throw new UsageError(`Surplus argument "${surplus}": expected tcphup ${command} DEST [PORT]`);
  }
  if (dst === undefined) {
    throw new UsageError(`No connections selected: expected tcphup ${command} DEST [PORT], where DEST may be any`);
  }
  return { dst, dport };
}
