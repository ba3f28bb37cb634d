// The wording of messages. In those about options the library names its own; the command line names its flags instead.

import { UsageError } from "./errors.ts";

/** Writes a number with its noun: `1 connection`, `2 connections`. */
export function counted(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : nouns}`;
}

/** A condition of a selection: an option and its value. */
export type NamedCondition = readonly [option: string, value: string];

/** The names by which a message calls options. */
export interface Wording {
  /** Names an option: `finOnly`, `--fin-only`. */
  name(option: string): string;
  /** Names an option and quotes its value: `lingerMs -5`, `--linger "-5"`. */
  quote(option: string, value: unknown): string;
  /** Writes conditions as they would be given: `{ dst: "::1", dport: "443" }`, `--dst ::1 --dport 443`. */
  conditions(conditions: readonly NamedCondition[]): string;
}

/** Writes a message. */
export type Message = (words: Wording) => string;

/** The names that the library has for its options. */
export const OPTION_WORDING: Wording = {
  name: (option) => option,
  quote: (option, value) => `${option} ${describe(value)}`,
  conditions: (conditions) => {
    const values = Map.groupBy(conditions, ([option]) => option);
    const members = [...values].map(([option, pairs]) => {
      const texts = pairs.map(([, value]) => JSON.stringify(value));
      return `${option}: ${texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`}`;
    });
    return `{ ${members.join(", ")} }`;
  },
};

/** Describes a value of any type, on one line. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "function":
      return "(a function)";
    case "object":
      return value === null ? "null" : Array.isArray(value) ? "(a list)" : "(an object)";
    default:
      return String(value);
  }
}

const messages = new WeakMap<UsageError, Message>();

/** Returns an error whose message names options, and can be worded again. */
export function usageError(message: Message, facts?: ConstructorParameters<typeof UsageError>[1]): UsageError {
  const error = new UsageError(message(OPTION_WORDING), facts);
  messages.set(error, message);
  return error;
}

/** Words the message of an error again, where it names options. */
export function reword(error: UsageError, words: Wording): void {
  const message = messages.get(error);
  if (message !== undefined) error.message = message(words);
}

/** Returns the result of `read`. Its errors are about this value of this option, unless they say otherwise. */
export function about<T>(option: string, value: unknown, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof UsageError && error.option === undefined) Object.assign(error, { option, value });
    throw error;
  }
}
