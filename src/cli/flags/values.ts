// Values of flags that are neither texts nor times: counts, rates, percentages.

import { UsageError } from "../../model/errors.ts";

/** The highest rate: faster than that no pause is long enough to be one. */
const MAX_PER_S = 10_000;

/** What the units of a rate are in seconds. */
const RATE_UNITS = { s: 1, m: 60, h: 3600 } as const;

/**
 * A rate such as `50/s`, `20/m` or `0.5/s`, as so many a second.
 *
 * @throws {UsageError}
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
  const per_s = Number(digits) / RATE_UNITS[unit as keyof typeof RATE_UNITS];
  if (per_s >= 1 / RATE_UNITS.h && per_s <= MAX_PER_S) return per_s;
  throw new UsageError(`Rate --${name} "${text}" is out of range: expected 1/h to ${MAX_PER_S}/s`);
}

/**
 * A percentage such as `50` or `50%`, as a fraction.
 *
 * @throws {UsageError}
 */
export function parsePercentage(name: string, text: string): number {
  const [, digits] = /^(\d+(?:\.\d+)?)%?$/.exec(text) ?? [];
  if (digits !== undefined && Number(digits) <= 100) return Number(digits) / 100;
  throw new UsageError(`Not a percentage for --${name}: "${text}": expected 0 to 100, as in 50 or 50%`);
}

/**
 * A whole number from 1 on.
 *
 * @throws {UsageError}
 */
export function parseCount(name: string, text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && Number.isSafeInteger(count)) return count;
  throw new UsageError(`Not a number for --${name}: "${text}": expected a whole number above 0`);
}
