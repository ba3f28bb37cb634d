// The values of keepalive: the options of tcp(7), the ranges that net/ipv4/tcp.c takes, and
// libkeepalive's defaults and environment variables.

import { UsageError } from "../model/errors.ts";
import { type Check, nested, number } from "../model/options.ts";
import { usageError } from "../model/wording.ts";
import { formatDuration, parseDuration } from "../model/duration.ts";

/** Values to set. 0 leaves the one that the system, or the program, has chosen. */
export interface KeepaliveValues {
  /** TCP_KEEPIDLE: seconds without a sign of the peer before the first probe. */
  idleS: number;
  /** TCP_KEEPINTVL: seconds from one unanswered probe to the next. */
  intervalS: number;
  /** TCP_KEEPCNT: unanswered probes after which the connection is dropped. */
  count: number;
  /** TCP_USER_TIMEOUT: milliseconds that data, or a probe, may stay unacknowledged. */
  userTimeoutMs: number;
  /** TCP_SYNCNT: how often a SYN is sent again before connect(2) fails. */
  syncnt: number;
  /** TCP_MAXSEG: bytes in a segment, at most. */
  maxseg: number;
  /** TCP_WINDOW_CLAMP: bytes in the advertised window, at most. The kernel raises a small one to its own minimum. */
  windowClamp: number;
  /** TCP_DEFER_ACCEPT: seconds that a listener waits for data. The kernel rounds up to 1, 3, 7, 15, … s. */
  deferAcceptS: number;
}

export type { Keepalive } from "../model/connection.ts";

/** The keepalive that a socket should have. */
export interface DesiredKeepalive {
  /** Keepalive with these values, or none. */
  readonly values: KeepaliveValues | "off";
  /** Leave what the application has chosen: keepalive that is on, and any user timeout. */
  readonly onlyMissing?: boolean;
}

/** A value's name. */
export type KeepaliveName = keyof KeepaliveValues;

/** The name and the range of a value. 0 is always allowed. */
export interface KeepaliveField {
  /** The name in messages, which is also the flag's. */
  readonly label: string;
  /** libkeepalive's environment variable. */
  readonly variable: string;
  /** The unit of its number. */
  readonly unit: "seconds" | "milliseconds" | "bytes" | "probes" | "SYNs";
  readonly minimum: number;
  readonly maximum: number;
  /** libkeepalive's default; `auto` is (idle + interval × count) × 1000. */
  readonly initial: number | "auto";
}

/** The largest int, which is how setsockopt(2) takes these options. */
const INT_MAX = 2147483647;

/**
 * Every value. The ranges are MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT, MAX_TCP_SYNCNT (where tcp(7)
 * says 255), TCP_MIN_MSS and MAX_TCP_WINDOW of include/net/tcp.h; the rest takes any positive int.
 */
export const KEEPALIVE_FIELDS: Readonly<Record<KeepaliveName, KeepaliveField>> = {
  idleS: { label: "idle", variable: "TCP_KEEPIDLE", unit: "seconds", minimum: 1, maximum: 32767, initial: 15 },
  intervalS: { label: "interval", variable: "TCP_KEEPINTVL", unit: "seconds", minimum: 1, maximum: 32767, initial: 15 },
  count: { label: "count", variable: "TCP_KEEPCNT", unit: "probes", minimum: 1, maximum: 127, initial: 9 },
  userTimeoutMs: {
    label: "user-timeout",
    variable: "TCP_USER_TIMEOUT",
    unit: "milliseconds",
    minimum: 1,
    maximum: INT_MAX,
    initial: "auto",
  },
  syncnt: { label: "syncnt", variable: "TCP_SYNCNT", unit: "SYNs", minimum: 1, maximum: 127, initial: 0 },
  maxseg: { label: "maxseg", variable: "TCP_MAXSEG", unit: "bytes", minimum: 88, maximum: 32767, initial: 0 },
  windowClamp: {
    label: "window-clamp",
    variable: "TCP_WINDOW_CLAMP",
    unit: "bytes",
    minimum: 1,
    maximum: INT_MAX,
    initial: 0,
  },
  deferAcceptS: {
    label: "defer-accept",
    variable: "TCP_DEFER_ACCEPT",
    unit: "seconds",
    minimum: 1,
    maximum: INT_MAX,
    initial: 0,
  },
};

/** The names of all values, in the order of output. */
export const KEEPALIVE_NAMES = Object.keys(KEEPALIVE_FIELDS) as readonly KeepaliveName[];

/** Values as a caller gives them. Missing values take their defaults. */
export type GivenValues =
  & Partial<Readonly<Omit<KeepaliveValues, "userTimeoutMs">>>
  & { readonly userTimeoutMs?: number | "auto" };

/** Values that set nothing: each stays the system's. */
export const SYSTEM_VALUES: Readonly<KeepaliveValues> = {
  idleS: 0,
  intervalS: 0,
  count: 0,
  userTimeoutMs: 0,
  syncnt: 0,
  maxseg: 0,
  windowClamp: 0,
  deferAcceptS: 0,
};

/**
 * Reads one value as it is typed: a whole number or, where it is one, a time; 0 for the system's, and for the user
 * timeout also `auto`. Its range is checked by `resolveValues`.
 *
 * @throws {UsageError} When it is none of these.
 */
export function parseValue(name: KeepaliveName, text: string): number | "auto" {
  const { label, unit } = KEEPALIVE_FIELDS[name];
  if (name === "userTimeoutMs") {
    if (text === "auto") return text;
    return parseDuration(text, { label, bare: ["ms", "s"], instead: "auto or 0" });
  }
  if (unit === "seconds") return wholeSeconds(label, text);
  if (/^\d+$/.test(text)) return Number(text);
  throw new UsageError(`${label} "${text}" is not a number: it takes a whole number of ${unit}`);
}

function wholeSeconds(label: string, text: string): number {
  const milliseconds = parseDuration(text, { label, bare: ["s"] });
  if (milliseconds % 1000 === 0) return milliseconds / 1000;
  throw new UsageError(`${label} "${text}" is not whole: the kernel counts it in seconds`);
}

/** Tells whether the kernel takes a value, or it leaves the system's. */
function isTaken(name: KeepaliveName, value: number): boolean {
  const { minimum, maximum } = KEEPALIVE_FIELDS[name];
  return value === 0 || (Number.isInteger(value) && value >= minimum && value <= maximum);
}

function rangeOf(name: KeepaliveName): string {
  const { unit, minimum, maximum } = KEEPALIVE_FIELDS[name];
  return `is out of range: it takes ${minimum} to ${maximum} ${unit}, or 0 to leave the system's value`;
}

/** Returns the check of a given value. */
function checkOf(name: KeepaliveName): Check {
  return (option, value) => {
    if (name === "userTimeoutMs" && value === "auto") return;
    number(option, value);
    if (isTaken(name, value as number)) return;
    throw usageError(({ quote }) => `${quote(option, value)} ${rangeOf(name)}`, {
      code: "out-of-range",
      option,
      value,
    });
  };
}

/** Checks values as they are given: see `resolveValues`. */
export const checkValues: Check = nested<GivenValues>(
  Object.fromEntries(KEEPALIVE_NAMES.map((name) => [name, checkOf(name)])) as Record<KeepaliveName, Check>,
);

/** The variables of an environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Parses as atoi(3): leading white space, a sign and digits count, the rest does not. */
function atoi(text: string): number {
  return Number(/^[ \t\n\v\f\r]*([+-]?\d+)/.exec(text)?.[1] ?? 0);
}

/**
 * Reads one of libkeepalive's variables as it does: with atoi(3), so that "15s" is 15 and "" is 0, and with anything
 * below 0 as 0, except the user timeout, which it derives then. What is not read as it is written gives a warning.
 * Returns null for a variable that is not set.
 */
function readVariable(name: KeepaliveName, environment: Environment, warnings: string[]): number | "auto" | null {
  const { variable } = KEEPALIVE_FIELDS[name];
  const text = environment[variable];
  if (text === undefined) return null;
  const number = atoi(text);
  if (name === "userTimeoutMs" && number < 0) return "auto";
  const value = Math.max(number, 0);
  if (text !== String(value)) {
    const meaning = value === 0 ? "0, which leaves the system's value" : String(value);
    warnings.push(`${variable}="${text}" is read as ${meaning}`);
  }
  if (isTaken(name, value)) return value;
  throw new UsageError(`${variable}=${text} ${rangeOf(name)}`, { code: "out-of-range", option: variable, value: text });
}

/** The result of `resolveValues`. */
export interface ResolvedValues {
  /** The values to set. */
  values: KeepaliveValues;
  /** Whether LIBKEEPALIVE_DEBUG is set, to any value: then options that cannot be set are reported. */
  debug: boolean;
  /** Warnings about values that are allowed but perhaps not meant, one line each. */
  warnings: string[];
}

/**
 * Returns the values to set: those that are given, else those of the environment, else libkeepalive's defaults. The user
 * timeout `auto` is derived from the other three values, as libkeepalive does. An environment variable is ignored when its
 * value is given.
 *
 * @param systemIdleS `net.ipv4.tcp_keepalive_time`, for the warning when idle is left to the system.
 * @throws {UsageError} When a value is not in the kernel's range; the message states the range. When there is no such value.
 */
export function resolveValues(
  given: GivenValues = {},
  environment: Environment = {},
  systemIdleS = 7200,
): ResolvedValues {
  checkValues("values", given);
  const warnings: string[] = [];
  const values = { ...SYSTEM_VALUES };
  let derive = false;
  for (const name of KEEPALIVE_NAMES) {
    const value = given[name] ?? readVariable(name, environment, warnings) ?? KEEPALIVE_FIELDS[name].initial;
    if (value === "auto") derive = true;
    else values[name] = value;
  }
  if (derive) values.userTimeoutMs = deriveUserTimeout(values);
  const warning = warnOfShortTimeout(values, systemIdleS);
  if (warning !== null) warnings.push(warning);
  return { values, debug: environment.LIBKEEPALIVE_DEBUG !== undefined, warnings };
}

/** The user timeout, in milliseconds, at which the count of probes is reached too: neither cuts the other short. */
export function deriveUserTimeout({ idleS, intervalS, count }: KeepaliveValues): number {
  const derivedMs = (idleS + intervalS * count) * 1000;
  if (derivedMs <= INT_MAX) return derivedMs;
  const option = "values.userTimeoutMs";
  throw usageError(
    ({ name }) =>
      `${
        name(option)
      } auto would be ${derivedMs} milliseconds: it takes at most ${INT_MAX}, so give one, or 0 for none`,
    { code: "out-of-range", option, value: "auto" },
  );
}

/** What it means that data may stay unacknowledged for less long than a connection may be idle; null if it may not. */
function warnOfShortTimeout({ idleS, userTimeoutMs }: KeepaliveValues, systemIdleS: number): string | null {
  const idleMs = (idleS || systemIdleS) * 1000;
  if (userTimeoutMs === 0 || userTimeoutMs >= idleMs) return null;
  return `user-timeout ${formatDuration(userTimeoutMs)} is shorter than idle ${formatDuration(idleMs)}: ` +
    `the count is ignored, an idle connection is dropped after one unanswered probe, ` +
    `and one with data in flight after ${formatDuration(userTimeoutMs)}`;
}
