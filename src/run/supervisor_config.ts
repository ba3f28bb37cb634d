// What the supervisor is to do, as it is told on its command line: `connect,listen quiet - idle_s=15 count=9`.

import type { HookedSyscall } from "./seccomp_filter.ts";

/** The hidden command by which tcphup starts itself as the supervisor. */
export const SUPERVISE = "supervise";

/** The first argument of that command which starts the watcher of a supervisor; the supervisor's process id follows. */
export const WATCH = "watch";

/** That a supervisor was stuck in the kernel over a call, and was left behind. */
export interface Stall {
  /** The user whose call it was. */
  readonly uid: number;
  /** The supervisor's process id. */
  readonly pid: number;
  /** When, in seconds since the host has started. */
  readonly second: number;
}

/** What the supervisor is to do. */
export interface SupervisorConfig {
  /** The calls at which a socket is given the values. */
  readonly on: ReadonlySet<HookedSyscall>;
  /** Whether to write to standard error what could not be set. */
  readonly debug: boolean;
  /** What has become of earlier supervisors. */
  readonly stalls: readonly Stall[];
  /** Numbers by their names. */
  readonly values: Readonly<Record<string, number>>;
}

const NONE = "-";

/** Whether one warning goes to standard error though nobody debugs: where a process makes a socket without the values. */
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
    stalls: stalls.map(([uid, pid, second]) => ({ uid, pid, second })),
    values: Object.fromEntries(values),
  };
}

/** With so many stalls over one user's calls, or over anybody's, these calls proceed as they are. */
const MOST_OF_A_USER = 3;
const MOST_OF_ALL = 8;

/** Whether a user's sockets are touched no more, lest supervisor after supervisor be left behind. */
export function isGivenUp(stalls: readonly Stall[], uid: number): boolean {
  return stalls.length >= MOST_OF_ALL || stalls.filter((stall) => stall.uid === uid).length >= MOST_OF_A_USER;
}

const MEMORY_S = 3600;

/** The stalls that still count: of the last hour, and of supervisors that are still stuck. */
export function recentStalls(stalls: readonly Stall[], now: number, isThere: (pid: number) => boolean): Stall[] {
  return stalls.filter(({ pid, second }) => now - second < MEMORY_S || isThere(pid));
}
