// The words that a shell offers for a value or an operand, the same for every shell.

import { EMIT_FORMATS } from "../../../keepalive/emit.ts";
import { STATE_NAMES } from "../../../model/tcp_states.ts";
import { COLUMNS } from "../../output/columns.ts";
import { type Command, COMMANDS, type Flag } from "../flag.ts";
import { FLAGS } from "../table.ts";
import { MANUALS } from "../manuals.ts";
import { COLOR_CHOICES } from "../../output/terminal.ts";

/** A list of words that the shell makes; `holder` is made by tcphup: the processes that hold connections. */
export type Source = "file" | "holder" | "host" | "interface" | "netns" | "process" | "service" | "user";

/** The completions of a value or an operand. */
export interface Offer {
  /** The flag with its dashes, or the operand as the help names it. */
  readonly name: string;
  readonly words?: readonly string[];
  readonly source?: Source;
  /** The value is a list of words with commas in between. */
  readonly list?: boolean;
  /** The value may begin with a minus. */
  readonly signed?: boolean;
  /** Nothing is offered before the first character: a shell fills in a single offer by itself. */
  readonly needsPrefix?: boolean;
}

const columnNames = COLUMNS.map(({ name }) => name);

/**
 * The offers of all flags and operands that have one. `any` and `all` are never offered, so that Tab and Enter cannot cut
 * everything.
 */
const OFFERS: readonly Offer[] = [
  { name: "DEST", source: "host", needsPrefix: true },
  { name: "PORT", source: "service" },
  { name: "NAME", source: "host", needsPrefix: true },
  { name: "--dst", source: "host", needsPrefix: true },
  { name: "--src", source: "host" },
  { name: "--dport", source: "service" },
  { name: "--sport", source: "service" },
  { name: "--dst-file", source: "file" },
  { name: "--name", source: "host" },
  { name: "--live-file", source: "file" },
  { name: "--state", words: STATE_NAMES.filter((name) => name !== "all") },
  { name: "--interface", source: "interface" },
  { name: "--user", source: "user" },
  { name: "--pid", source: "holder" },
  { name: "--comm", source: "process" },
  { name: "--netns", source: "netns" },
  { name: "--columns", words: columnNames, list: true },
  { name: "--sort", words: columnNames, signed: true },
  { name: "--emit", words: EMIT_FORMATS },
  { name: "--color", words: COLOR_CHOICES },
];

/** Returns the offer for the value of a flag. */
export function offerFor({ name }: Flag): Offer | undefined {
  return OFFERS.find((offer) => offer.name === `--${name}`);
}

/** Returns the flags whose value is a word of its own, in each of their spellings. */
export function valuedFlags(): string[] {
  return FLAGS.filter(({ value, optionalValue }) => value !== undefined && optionalValue === undefined).flatMap(
    spellings,
  );
}

/** Returns the spellings of a flag: `-n`, `--dry-run`. */
export function spellings({ name, short }: Flag): string[] {
  return short ? [`-${short}`, `--${name}`] : [`--${name}`];
}

/** Returns the flags of a command. */
export function flagsOf(command: Command): Flag[] {
  return FLAGS.filter(({ commands }) => commands.includes(command));
}

/** The words of a command that are not flags. */
export interface Operands {
  /** The offer for each operand, in order. */
  readonly offers: readonly Offer[];
  /** A program and its arguments follow after `--`. */
  readonly program: boolean;
}

/**
 * Reads the operands of a command from its usage, such as `tcphup ls DEST [PORT] [OPTIONS]`. Lower-case words with bars in
 * between are offered as they are.
 */
export function operandsOf(command: Command): Operands {
  const words = MANUALS[command].usage.replace("[hup]", "hup").replaceAll(/[[\]]/g, "").split(" ").slice(1);
  const offers = words.flatMap((word) => OFFERS.find(({ name }) => name === word) ?? alternatives(command, word));
  return { offers, program: words.includes("--") };
}

function alternatives(command: Command, word: string): Offer[] {
  return /^[a-z]+(\|[a-z]+)+$/.test(word) ? [{ name: `${command}_operand`, words: word.split("|") }] : [];
}

/** Returns every offer that a flag or an operand uses. */
export function allOffers(): Offer[] {
  const ofOperands = COMMANDS.flatMap((command) => operandsOf(command).offers);
  return [...new Set([...ofOperands, ...FLAGS.flatMap((flag) => offerFor(flag) ?? [])])];
}

/** Returns the name of the shell function that makes an offer. */
export function functionName({ name }: Offer): string {
  return `_tcphup_${name.toLowerCase().replace(/^--/, "").replaceAll("-", "_")}`;
}

/**
 * A command for sh, bash, zsh and fish that lists the processes that hold connections: PID, tab and name on a line. Names
 * with other characters than letters, digits and `_.:-` are left out.
 */
export const HOLDERS_COMMAND =
  "command tcphup ls -f 'state connected' --columns process -v 2>/dev/null | tr , '\\n' | " +
  "sed -nE 's,^ *([0-9]+)/([A-Za-z0-9_.:-]*) fd [0-9]+$,\\1\\t\\2,p' | sort -nu";
