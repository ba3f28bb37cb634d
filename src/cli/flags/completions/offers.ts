// What a shell can offer where a word is missing: the same for every shell.

import { EMIT_FORMATS } from "../../../keepalive/emit.ts";
import { STATE_NAMES } from "../../../model/tcp_states.ts";
import { COLUMNS } from "../../output/columns.ts";
import { type Command, COMMANDS, type Flag } from "../flag.ts";
import { FLAGS } from "../table.ts";
import { MANUALS } from "../help.ts";
import { COLOR_CHOICES } from "../../output/terminal.ts";

/** Something that every shell knows how to list, or tcphup: the processes that hold connections. */
export type Source = "file" | "holder" | "host" | "interface" | "netns" | "process" | "service" | "user";

/** What is offered for a value or an operand. */
export interface Offer {
  /** A name for the shell's function that offers it. */
  readonly name: string;
  readonly words?: readonly string[];
  readonly source?: Source;
  /** Whether the value is several of the words with commas in between. */
  readonly list?: boolean;
  /** Whether a minus may stand before it. */
  readonly signed?: boolean;
  /** Whether it is offered only once something of it has been typed: what stands alone a shell fills in by itself. */
  readonly begun?: boolean;
}

const columnNames = COLUMNS.map(({ name }) => name);

/**
 * By the flag whose value it is, or by what the help calls the operand. Where nothing stands nothing is offered. `any` and
 * `all` are not either: nobody is to cut everything by the Tab key and Enter.
 */
const OFFERS: readonly Offer[] = [
  { name: "DEST", source: "host", begun: true },
  { name: "PORT", source: "service" },
  { name: "--dst", source: "host", begun: true },
  { name: "--src", source: "host" },
  { name: "--dport", source: "service" },
  { name: "--sport", source: "service" },
  { name: "--dst-file", source: "file" },
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

/** What is offered for the value of a flag. */
export function offerFor({ name }: Flag): Offer | undefined {
  return OFFERS.find((offer) => offer.name === `--${name}`);
}

/** The flags whose value is a word of its own, in each of their spellings. */
export function valuedFlags(): string[] {
  return FLAGS.filter(({ value, optionalValue }) => value !== undefined && optionalValue === undefined).flatMap(
    spellings,
  );
}

/** A flag as it is typed: `-n`, `--dry-run`. */
export function spellings({ name, short }: Flag): string[] {
  return short ? [`-${short}`, `--${name}`] : [`--${name}`];
}

/** The flags of a command. */
export function flagsOf(command: Command): Flag[] {
  return FLAGS.filter(({ commands }) => commands.includes(command));
}

/** The words of a command that are not flags. */
export interface Operands {
  /** What is offered for each, in order. */
  readonly offers: readonly Offer[];
  /** Whether a program and its arguments follow behind `--`. */
  readonly program: boolean;
}

/**
 * Reads a command's operands from its usage, such as `tcphup ls DEST [PORT] [OPTIONS]`. Words in small letters with bars
 * in between stand for themselves.
 */
export function operandsOf(command: Command): Operands {
  const words = MANUALS[command].usage.replace("[hup]", "hup").replaceAll(/[[\]]/g, "").split(" ").slice(1);
  const [operands, program] = words.includes("--") ? [words.slice(0, words.indexOf("--")), true] : [words, false];
  const offers = operands.flatMap((word) => OFFERS.find(({ name }) => name === word) ?? alternatives(command, word));
  return { offers, program };
}

function alternatives(command: Command, word: string): Offer[] {
  return /^[a-z]+(\|[a-z]+)+$/.test(word) ? [{ name: `${command}_operand`, words: word.split("|") }] : [];
}

/** Every offer that there is use for. */
export function allOffers(): Offer[] {
  const ofOperands = COMMANDS.flatMap((command) => operandsOf(command).offers);
  return [...new Set([...ofOperands, ...FLAGS.flatMap((flag) => offerFor(flag) ?? [])])];
}

/** The shell's function that makes an offer. */
export function functionName({ name }: Offer): string {
  return `_tcphup_${name.toLowerCase().replace(/^--/, "").replaceAll("-", "_")}`;
}

/**
 * A command of sh(1), bash, zsh and fish that prints the processes that hold connections: the number and the name, a line
 * each, with a tab in between. A name in which anything but what names are usually made of stands is left out.
 */
export const HOLDERS = "command tcphup ls -f 'state connected' --columns process -v 2>/dev/null | tr , '\\n' | " +
  "sed -nE 's,^ *([0-9]+)/([A-Za-z0-9_.:-]*) fd [0-9]+$,\\1\\t\\2,p' | sort -nu";
