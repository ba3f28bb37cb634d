// The values of flags that are numbers: counts, rates and percentages.

import { UsageError } from "../../model/errors.ts";

/** The units of a rate, in seconds. */
const RATE_UNITS = { s: 1, m: 60, h: 3600 } as const;

/**
 * Parses a rate such as `50/s`, `20/m` or `0.5/s`. Returns the number per second.
 *
 * @throws {UsageError} When the text is no rate.
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
  return Number(digits) / RATE_UNITS[unit as keyof typeof RATE_UNITS];
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
 * Parses a whole number. The library checks that it is above 0.
 *
 * @throws {UsageError} When the text is none.
 */
export function parseCount(name: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new UsageError(`Not a number for --${name}: "${text}": expected a whole number above 0`);
}
