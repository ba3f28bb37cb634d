// The values of flags that are numbers: counts, rates and percentages.

import { UsageError } from "../../model/errors.ts";

/** The highest rate. Above this rate a timer cannot space the cuts. */
const MAX_PER_S = 10_000;

/** The units of a rate, in seconds. */
const RATE_UNITS = { s: 1, m: 60, h: 3600 } as const;

/**
 * Parses a rate such as `50/s`, `20/m` or `0.5/s`. Returns the number per second.
 *
 * @throws {UsageError} When the text is no rate, or out of range.
 */
export function parseRate(name: string, text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\/([smh])$/.exec(text) ?? [];
  if (digits === undefined) {
    const [, number, meant] = /^(\d+(?:\.\d+)?)\/(s(?=ec)|m(?=in)|h(?=our))/.exec(text) ?? [];
    throw new UsageError(
      `Not a rate for --${name}: "${text}": ` +
        (number !== undefined
          ? `did you mean "${number}/${meant}"?`
          : "expected a number per second, minute or hour, such as 50/s, 20/m or 100/h"),
    );
  }
  const perSecond = Number(digits) / RATE_UNITS[unit as keyof typeof RATE_UNITS];
  if (perSecond >= 1 / RATE_UNITS.h && perSecond <= MAX_PER_S) return perSecond;
  throw new UsageError(`Rate --${name} "${text}" is out of range: expected 1/h to ${MAX_PER_S}/s`);
}

/**
 * Parses a percentage such as `50` or `50%`. Returns it as a fraction.
 *
 * @throws {UsageError} When the text is no percentage, or above 100.
 */
export function parsePercentage(name: string, text: string): number {
  const [, digits] = /^(\d+(?:\.\d+)?)%?$/.exec(text) ?? [];
  if (digits !== undefined && Number(digits) <= 100) return Number(digits) / 100;
  throw new UsageError(`Not a percentage for --${name}: "${text}": expected 0 to 100, as in 50 or 50%`);
}

/**
 * Parses a whole number above 0.
 *
 * @throws {UsageError} When the text is none.
 */
export function parseCount(name: string, text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && Number.isSafeInteger(count)) return count;
  throw new UsageError(`Not a number for --${name}: "${text}": expected a whole number above 0`);
}
