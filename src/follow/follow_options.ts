// The options of followName(), and their checks.

import { HANG_UP_CHECKS, type HangUpOptions, validateHangUpOptions } from "../act/hang_up_options.ts";
import { UsageError } from "../model/errors.ts";
import {
  boolean,
  checkOptions,
  type Checks,
  oneOrMore,
  refuseConflicts,
  requireOptions,
  SHORTEST_WATCH_MS,
  text,
  time,
} from "../model/options.ts";
import { about, usageError } from "../model/wording.ts";
import { listOf, type OneOrMore, type Selection } from "../select/selection.ts";
import { isHostName, parsePort } from "../select/destination.ts";
import type { Filter } from "../select/filter.ts";
import { systemNames } from "../select/names.ts";
import { canonicalAddress } from "./departures.ts";

/** The options of `hangUp` that `followName` takes. */
const PASSED_ON = [
  "dryRun",
  "lingerMs",
  "finOnly",
  "destroy",
  "destroyAfterMs",
  "includeSession",
  "max",
  "pacing",
  "whenIdle",
] as const;

/** Options of `followName`. Those of `hangUp` hold for each departure for itself. */
export interface FollowOptions extends
  Pick<
    HangUpOptions,
    | "dryRun"
    | "lingerMs"
    | "finOnly"
    | "destroy"
    | "destroyAfterMs"
    | "includeSession"
    | "max"
    | "pacing"
    | "whenIdle"
    | "onWarning"
    | "signal"
  > {
  /** Which connections to an address that has left are meant: the port, processes, states. `dst` is not allowed in it. */
  selection?: Selection;
  /** Milliseconds from one look at the live addresses to the next, 100 at least. Default 5000; with `liveFile`, 500. */
  everyMs?: number;
  /** Milliseconds for which every answer has to lack an address that has left. Default 15,000. */
  afterMs?: number;
  /** Reads the live addresses from this file instead of resolving names, one a line. */
  liveFile?: string;
  /** Addresses that were live before this began. Others can leave only after they were seen. */
  was?: OneOrMore<string>;
  /** Hangs up on all connections to the port, which `selection` has to name, that go to no live address. */
  elsewhere?: boolean;
  /**
   * Refuses connects to what has left, for as long as it is out, as the option `refuse` of `hangUp` does. It is in force
   * before anything is hung up on.
   */
  refuse?: boolean;
  /** Has connects to what has left go to a live address of the same family instead, as `refuse` refuses them. */
  redirect?: boolean;
  /** Hangs up only once a live address accepts a connection at the port, which `selection` has to name. */
  ready?: boolean;
}

/** Defaults of `everyMs`, by where the addresses come from, and of `afterMs`. */
export const FOLLOW_DEFAULTS = { everyMs: 5000, everyFileMs: 500, afterMs: 15_000 } as const;

const { dryRun, lingerMs, finOnly, destroy, destroyAfterMs, includeSession } = HANG_UP_CHECKS;
const { max, pacing, whenIdle, onWarning, signal } = HANG_UP_CHECKS;

const CHECKS: Checks<FollowOptions> = {
  ...{ dryRun, lingerMs, finOnly, destroy, destroyAfterMs, includeSession, max, pacing, whenIdle, onWarning, signal },
  // The selection is checked when it is compiled.
  selection: () => {},
  everyMs: time(SHORTEST_WATCH_MS),
  afterMs: time(0),
  liveFile: text,
  was: oneOrMore((option, value) => {
    text(option, value);
    about(option, value, () => parseWas(value as string));
  }),
  elsewhere: boolean,
  ready: boolean,
  refuse: boolean,
  redirect: boolean,
};

/** Options that have been checked. */
export interface CheckedFollow {
  readonly names: readonly string[];
  readonly was: readonly string[];
  /** The port that `ready` tries; null without it. */
  readonly readyPort: number | null;
}

/** Checks the names and options of followName(). @throws {UsageError} */
export function checkFollow(names: OneOrMore<string>, options: FollowOptions): CheckedFollow {
  checkOptions(options, CHECKS);
  validateHangUpOptions(passedOn(options));
  refusePeers(options.selection);
  requireOptions(options, [["elsewhere", ["selection.dport"]], ["ready", ["selection.dport"]]]);
  refuseConflicts(options, [["refuse", "redirect", () => "a connect either fails or goes elsewhere"]]);
  const { selection = {}, liveFile, elsewhere, ready, was } = options;
  const all = listOf(names);
  checkNames(all, liveFile);
  const ports = listOf(selection.dport).map((port) => parsePort(String(port), "dst", systemNames));
  if (elsewhere && ports.some(({ op }) => op !== "port")) {
    const message = "Everything elsewhere can be meant at a port only: expected the port of the peers";
    throw new UsageError(message, { option: "elsewhere", value: elsewhere });
  }
  return { names: all, was: listOf(was).map(parseWas), readyPort: ready ? singlePort(ports) : null };
}

/** Returns the options that are those of `hangUp`, but for callbacks. */
export function passedOn(options: FollowOptions): HangUpOptions {
  return Object.fromEntries(PASSED_ON.map((name) => [name, options[name]]));
}

function refusePeers(selection: Selection | undefined): void {
  for (const option of ["dst", "dstFile"] as const) {
    if (selection?.[option] === undefined) continue;
    throw usageError(
      ({ name }) => `${name(`selection.${option}`)} cannot be given: the names say which peers are meant`,
      { code: "conflict", option: `selection.${option}`, value: selection[option] },
    );
  }
}

function checkNames(names: readonly string[], liveFile: string | undefined): void {
  if (liveFile === undefined && names.length === 0) {
    throw usageError(({ name }) => `Nothing to follow: expected a host name, or ${name("liveFile")}`, {
      code: "missing-option",
    });
  }
  if (liveFile !== undefined && names.length > 0) {
    throw usageError(
      ({ name }) => `"${names[0]}" and ${name("liveFile")} cannot be followed together: either says what is live`,
      { code: "conflict", option: "liveFile", value: liveFile },
    );
  }
  for (const name of names) {
    if (!isHostName(name)) throw new UsageError(`Not a host name: "${name}": expected a name whose addresses change`);
  }
}

function parseWas(text: string): string {
  const address = canonicalAddress(text);
  if (address === null) {
    throw new UsageError(`Not an address: "${text}": expected an IPv4 or IPv6 address that was live`);
  }
  return address;
}

/** Returns the port that a connection can be tried at. */
function singlePort([filter, ...others]: readonly Filter[]): number {
  if (others.length === 0 && filter?.op === "port" && filter.from === filter.to) return filter.from;
  const message = "Whether live addresses accept connections can be tried at one port only: expected that port";
  throw new UsageError(message, { option: "ready", value: true });
}
