// Parses times that people type, and writes times for sentences and for tables.

import { UsageError } from "./errors.ts";

/** Drops what toFixed pads: "5.70" is "5.7", "45.0" is "45". */
function decimal(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The units of a typed time, in milliseconds. */
const UNITS_MS = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY } as const;

/** A unit of time. */
export type TimeUnit = keyof typeof UNITS_MS;

/** Matches a time with its unit, and nothing else. */
export const TIME_WITH_UNIT = /^\d+(?:\.\d+)?(?:ms|s|m|h|d)$/;

/** The rules for a time. */
export interface TimeRules {
  /** The name in messages: `--linger`. */
  readonly label: string;
  /** The units that a bare number may have. With one, a bare number counts it; with several, a bare number is refused. */
  readonly bare: readonly TimeUnit[];
  readonly longestMs?: number;
  /** The word that may stand in place of a time, for messages: `auto`. */
  readonly instead?: string;
}

/**
 * Reads a time: a number with its unit, such as `500ms`, `1.5s`, `5m`, `2h` or `1d`; 0 needs none. Returns milliseconds.
 *
 * @throws {UsageError}
 */
export function parseDuration(text: string, { label, bare, longestMs = Infinity, instead }: TimeRules): number {
  const [, digits, written] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? [];
  if (digits !== undefined && written === undefined && bare.length > 1 && Number(digits) !== 0) {
    throw new UsageError(
      `${label} "${text}" has no unit: expected ${bare.map((unit) => `${text}${unit}`).join(" or ")}`,
    );
  }
  const ms = Math.round(Number(digits) * UNITS_MS[(written ?? bare[0]) as TimeUnit]);
  if (ms <= longestMs) return ms;
  const seconds = bare.length === 1 ? "seconds as a number, or " : "";
  const longest = longestMs === Infinity ? "" : `, up to ${Math.floor(longestMs / DAY)} days`;
  const others = instead === undefined ? "" : `, or ${instead}`;
  throw new UsageError(
    `Not a time for ${label}: "${text}": ` +
      (suggestTime(text) ?? `expected ${seconds}a number with a unit, such as 500ms, 30s, 5m or 2h${longest}${others}`),
  );
}

/** Suggests a time for one with a blank or with a longer name of the unit; null when there is no suggestion. */
function suggestTime(text: string): string | null {
  const [, digits, name] = /^(\d+(?:\.\d+)?) *([a-z]+)$/i.exec(text) ?? [];
  const names = {
    ms: /^(ms|msecs?|milli\w*)$/i,
    s: /^s(ecs?|econds?)?$/i,
    m: /^m(ins?|inutes?)?$/i,
    h: /^h(rs?|ours?)?$/i,
  };
  const [unit] = Object.entries({ ...names, d: /^d(ays?)?$/i }).find(([, spelled]) => spelled.test(name ?? "")) ?? [];
  return unit === undefined || TIME_WITH_UNIT.test(text) ? null : `did you mean "${digits}${unit}"?`;
}

/** The times from which on two units are written, the larger and the smaller. */
const IN_WORDS = [
  { from: DAY, larger: "d", part: HOUR, smaller: "h" },
  { from: HOUR, larger: "h", part: MINUTE, smaller: "min" },
  { from: MINUTE, larger: "min", part: SECOND, smaller: "s" },
];

/**
 * Writes milliseconds in at most two units: `2 h 11 min`, `15 min 25 s`, `4.2 s`, `200 ms`. null is `never`.
 */
export function formatDuration(ms: number | null): string {
  if (ms === null) return "never";
  for (const { from, larger, part, smaller } of IN_WORDS) {
    const rounded = Math.round(ms / part) * part;
    if (rounded < from) continue;
    const rest = (rounded % from) / part;
    const whole = `${Math.floor(rounded / from)} ${larger}`;
    return rest === 0 ? whole : `${whole} ${rest} ${smaller}`;
  }
  return Math.round(ms) < SECOND ? `${decimal(ms, 0)} ms` : `${decimal(ms / SECOND, 1)} s`;
}

/** Writes milliseconds in one unit, for a column of a table: `11.25 min`, `45 s`, `never`. */
export function formatMinutes(ms: number | null): string {
  if (ms === null || ms < MINUTE) return formatDuration(ms);
  return `${decimal(ms / MINUTE, 2)} min`;
}
