// What a shell can offer for a value, found from what the help calls it: the same for every shell.

import { STATE_NAMES } from "../../selection/state_names.ts";
import { COLUMNS } from "../columns.ts";
import { type Command, FLAGS } from "../flags.ts";
import { MANUALS } from "../help.ts";

/** Something that every shell knows how to list. */
export type Source = "command" | "file" | "host" | "interface" | "netns" | "pid" | "process" | "service" | "user";

/** What is offered for a value: words, and what some sources list. */
export interface Offer {
  readonly words: readonly string[];
  readonly sources: readonly Source[];
  /** Whether the value is several of the words with commas in between. */
  readonly list: boolean;
}

const columnNames = COLUMNS.map(({ name }) => name);

const OFFERS: Readonly<Record<string, Partial<Offer>>> = {
  "A,B,...": { words: columnNames, list: true },
  COLUMN: { words: columnNames },
  COMM: { sources: ["process"] },
  COMMAND: { sources: ["command"] },
  DEST: { words: ["any"], sources: ["host"] },
  FILE: { sources: ["file"] },
  INTERFACE: { sources: ["interface"] },
  NAME: { sources: ["netns"] },
  PATH: { sources: ["file"] },
  PID: { sources: ["pid"] },
  PORT: { words: ["any"], sources: ["service"] },
  STATE: { words: STATE_NAMES },
  USER: { sources: ["user"] },
};

/**
 * What to offer for a value that the help calls `name`: one of the names above, a word in small letters that stands for
 * itself, or several of these with bars in between. Null where there is nothing to offer, as for a number.
 */
export function offerFor(name: string): Offer | null {
  const offers = name.split("|").map((part) => OFFERS[part] ?? (/^[a-z]/.test(part) ? { words: [part] } : {}));
  const offer: Offer = {
    words: offers.flatMap(({ words = [] }) => words),
    sources: offers.flatMap(({ sources = [] }) => sources),
    list: offers.some(({ list }) => list),
  };
  return offer.words.length + offer.sources.length > 0 ? offer : null;
}

/** A name for functions of a shell that is made from what the help calls a value. */
export function identifier(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/_$/, "");
}

/** The words of a command that are not flags. */
export interface Operands {
  /** What the help calls each, in order. */
  readonly names: readonly string[];
  /** Whether a program and its arguments follow behind `--`. */
  readonly program: boolean;
}

/** Reads a command's operands from its usage, such as `tcphup ls DEST [PORT] [OPTIONS]`. */
export function operandsOf(command: Command): Operands {
  const words = MANUALS[command].usage.replaceAll(/\[hup\]|[[\]]/g, "").split(" ").filter((word) => word !== "");
  const dashes = words.indexOf("--");
  const operands = words.slice(1, dashes < 0 ? undefined : dashes);
  return {
    names: operands.filter((word) => word !== command && !word.startsWith("-") && !FLAG_SETS.includes(word)),
    program: dashes >= 0,
  };
}

/** What a usage calls its flags. */
const FLAG_SETS = ["OPTIONS", "SELECTION", "VALUES"];

/** The commands, in the order of the help. */
export const COMMAND_NAMES: readonly Command[] = Object.keys(MANUALS) as Command[];

/** Every name of a value for which something is offered. */
export function offeredNames(): string[] {
  const values = FLAGS.flatMap(({ value }) => value ?? []);
  const operands = COMMAND_NAMES.flatMap((command) => operandsOf(command).names);
  return [...new Set([...operands, ...values])].filter((name) => offerFor(name) !== null);
}
