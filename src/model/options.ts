// Checks the options of the library before anything is touched. What TypeScript refuses, JavaScript and JSON may still
// bring, and a misspelt `dryRun` must not cut connections.

import { expectedWord } from "./closest.ts";
import { UsageError } from "./errors.ts";
import { describe, type Message, usageError } from "./wording.ts";

/** Checks the value of an option. @throws {UsageError} */
export type Check = (option: string, value: unknown) => void;

/** A check for each option. */
export type Checks<T> = { readonly [K in keyof Required<T>]: Check };

/**
 * Checks options. An option that is `undefined` counts as not given.
 *
 * @param name The name of the options, for messages.
 * @param path The prefix of their names: `pacing.`.
 * @throws {UsageError} For an unknown option, and for a value that its check refuses.
 */
export function checkOptions<T>(options: T, checks: Checks<T>, name = "options", path = ""): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw wrongType(name, options, "an object");
  }
  const known = Object.keys(checks);
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    throw new UsageError(`Unknown option "${path}${key}": ${expectedWord(key, known)}`, {
      code: "unknown-option",
      option: path + key,
      value: options[key as keyof T],
    });
  }
  for (const [key, check] of Object.entries<Check>(checks)) {
    const value = options[key as keyof T];
    if (value !== undefined) check(path + key, value);
  }
}

function wrongType(option: string, value: unknown, expected: string): UsageError {
  return usageError(({ quote }) => `${quote(option, value)} is not ${expected}`, { code: "wrong-type", option, value });
}

/** Returns a check of an object with options of its own. */
export function nested<T>(checks: Checks<T>): Check {
  return (option, value) => checkOptions(value as T, checks, option, `${option}.`);
}

function typed(isRight: (value: unknown) => boolean, expected: string): Check {
  return (option, value) => {
    if (!isRight(value)) throw wrongType(option, value, expected);
  };
}

/** Checks for `true` or `false`. */
export const boolean: Check = typed((value) => typeof value === "boolean", "true or false");

/** Checks for a number, of any size. */
export const number: Check = typed((value) => typeof value === "number", "a number");

/** Checks for a function. */
export const callback: Check = typed((value) => typeof value === "function", "a function");

/** Checks for an AbortSignal. */
export const abortSignal: Check = typed((value) => value instanceof AbortSignal, "an AbortSignal");

/** Checks for text. To C a text ends at a NUL, so what follows would be ignored. */
export const text: Check = (option, value) => {
  if (typeof value !== "string") throw wrongType(option, value, "text");
  if (value.includes("\0")) throw new UsageError(`NUL in "${value}": expected text`, { option, value });
};

/** Checks for text or a number. */
export const textOrNumber: Check = (option, value) => {
  if (typeof value !== "number") text(option, value);
};

/** Returns a check of one value, or of a list with at least one. */
export function oneOrMore(check: Check): Check {
  return (option, value) => {
    if (!Array.isArray(value)) return check(option, value);
    for (const one of value) check(option, one);
    if (value.length > 0) return;
    const message = `${option} is an empty list: expected at least one value, or no ${option} for any`;
    throw new UsageError(message, { code: "empty-list", option, value });
  };
}

/** Returns a check of a word, or a number, that must be one of several. */
export function oneOf(values: readonly unknown[]): Check {
  return (option, value) => {
    if (values.includes(value)) return;
    const message = `${option} ${describe(value)} is none of ${values.map(describe).join(", ")}`;
    throw new UsageError(message, { code: "malformed", option, value });
  };
}

/** The numbers that an option takes. */
interface Range {
  readonly minimum: number;
  readonly maximum: number;
  /** Only whole numbers. */
  readonly whole?: boolean;
  /** The range in words, for messages. */
  readonly expected: string;
}

/** Returns a check of a number. */
export function inRange({ minimum, maximum, whole, expected }: Range): Check {
  return (option, value) => {
    number(option, value);
    const given = value as number;
    if (given >= minimum && given <= maximum && !(whole && !Number.isInteger(given))) return;
    throw usageError(({ quote }) => `${quote(option, value)} is out of range: expected ${expected}`, {
      code: "out-of-range",
      option,
      value,
    });
  };
}

/** The largest int: TCP_USER_TIMEOUT and timers count milliseconds in an int. */
const LONGEST_MS = 2 ** 31 - 1;

/** The shortest interval of a watch. A dump of all sockets more often than this is a load of its own. */
export const SHORTEST_WATCH_MS = 100;

/** Returns a check of a time in milliseconds. */
export function time(minimum: number, whole = false): Check {
  const expected = `${whole ? "whole milliseconds, " : ""}${minimum === 0 ? "0" : `${minimum}ms`} to 24 days`;
  return inRange({ minimum, maximum: LONGEST_MS, whole, expected });
}

/** Checks for a whole number above 0. */
export const count: Check = inRange({
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  whole: true,
  expected: "a whole number above 0",
});

/** Tells whether an option is given, by its path. A flag that is `false` counts as not given. */
function isGiven(options: object, path: string): boolean {
  const value = path.split(".").reduce<unknown>((parent, key) => (parent as Record<string, unknown>)?.[key], options);
  return value !== undefined && value !== false;
}

/** A pair of options that contradict each other, and why. */
export type Conflict = readonly [one: string, other: string, why: Message];

/** @throws {UsageError} When both options of a pair are given. */
export function refuseConflicts(options: object, conflicts: readonly Conflict[]): void {
  for (const [option, other, why] of conflicts) {
    if (!isGiven(options, option) || !isGiven(options, other)) continue;
    throw usageError(
      (words) => `Options ${words.name(option)} and ${words.name(other)} cannot be used together: ${why(words)}`,
      { code: "conflict", option },
    );
  }
}

/** @throws {UsageError} When an option is given without the one that it needs, or without one of several. */
export function requireOptions(options: object, needs: readonly (readonly [string, readonly string[]])[]): void {
  for (const [option, needed] of needs) {
    if (!isGiven(options, option) || needed.some((other) => isGiven(options, other))) continue;
    throw usageError(({ name }) => `Option ${name(option)} needs ${needed.map(name).join(" or ")}`, {
      code: "missing-option",
      option,
    });
  }
}
