// What the supervisor is to do, as it is told on its command line: `connect,listen quiet idle_s=15 count=9`.

import type { Moment } from "./filter.ts";

/** The hidden command by which tcphup starts itself as the supervisor. */
export const SUPERVISE = "supervise";

/** What the supervisor is to do. */
export interface Duty {
  /** The calls at which a socket is given the values. */
  readonly on: ReadonlySet<Moment>;
  /** Whether to write to standard error what could not be set. */
  readonly debug: boolean;
  /** Numbers by their names. */
  readonly values: Readonly<Record<string, number>>;
}

export function encodeDuty({ on, debug, values }: Duty): string[] {
  const settings = Object.entries(values).map(([name, value]) => `${name}=${value}`);
  return [[...on].join(","), debug ? "debug" : "quiet", ...settings];
}

export function decodeDuty([on = "", debug, ...settings]: readonly string[]): Duty {
  const values = settings.map((setting) => setting.split("=")).map(([name, value]) => [name, Number(value)]);
  return { on: new Set(on.split(",") as Moment[]), debug: debug === "debug", values: Object.fromEntries(values) };
}
