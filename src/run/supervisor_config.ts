// The supervisor's configuration, and its form on the command line: `connect,listen quiet - idle_s=15 count=9`.

import type { HookedSyscall } from "./seccomp_filter.ts";

/** The hidden command by which tcphup starts itself as the supervisor. */
export const SUPERVISE = "supervise";

/** The first argument of `supervise` for a watcher. The supervisor's process id follows. */
export const WATCH = "watch";

/** A stall: a supervisor was stuck in the kernel over a call, and was left behind. */
export interface Stall {
  /** The user who made the call. */
  readonly uid: number;
  /** The supervisor's process id. */
  readonly pid: number;
  /** The time, in seconds since the host's boot. */
  readonly second: number;
}

/** The supervisor's configuration. */
export interface SupervisorConfig {
  /** The calls at which a socket is given the values. */
  readonly on: ReadonlySet<HookedSyscall>;
  /** True to report to standard error what could not be set. */
  readonly debug: boolean;
  /** The stalls of earlier supervisors. */
  readonly stalls: readonly Stall[];
  /** The keepalive values, by their names. */
  readonly values: Readonly<Record<string, number>>;
}

const NONE = "-";

/** Returns whether the first socket that goes without the values is warned about: with `socket`, without --debug. */
export function warnsOnce({ on, debug }: Pick<SupervisorConfig, "on" | "debug">): boolean {
  return on.has("socket") && !debug;
}

export function encodeConfig({ on, debug, stalls, values }: SupervisorConfig): string[] {
  const settings = Object.entries(values).map(([name, value]) => `${name}=${value}`);
  const stalled = stalls.map(({ uid, pid, second }) => `${uid}:${pid}:${second}`).join(",");
  return [[...on].join(","), debug ? "debug" : "quiet", stalled || NONE, ...settings];
}

export function decodeConfig([on = "", debug, stalled = NONE, ...settings]: readonly string[]): SupervisorConfig {
  const values = settings.map((setting) => setting.split("=")).map(([name, value]) => [name, Number(value)]);
  const stalls = stalled === NONE ? [] : stalled.split(",").map((stall) => stall.split(":").map(Number));
  return {
    on: new Set(on.split(",") as HookedSyscall[]),
    debug: debug === "debug",
    stalls: stalls.map(([uid = NaN, pid = NaN, second = NaN]) => ({ uid, pid, second })),
    values: Object.fromEntries(values),
  };
}

/** The numbers of stalls, over the calls of one user and of all, from which these calls are left alone. */
const MOST_OF_A_USER = 3;
const MOST_OF_ALL = 8;

/** Returns whether a user's calls are left alone, so that no further supervisors get stuck over them. */
export function isGivenUp(stalls: readonly Stall[], uid: number): boolean {
  return stalls.length >= MOST_OF_ALL || stalls.filter((stall) => stall.uid === uid).length >= MOST_OF_A_USER;
}

const MEMORY_S = 3600;

/** Returns the stalls of the last hour, and those of supervisors that are still stuck. */
export function recentStalls(stalls: readonly Stall[], now: number, isThere: (pid: number) => boolean): Stall[] {
  return stalls.filter(({ pid, second }) => now - second < MEMORY_S || isThere(pid));
}
