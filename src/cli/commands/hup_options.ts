// The options of `tcphup hup` from its flags, and the flags that contradict each other.

import type { HangUpOptions } from "../../hang_up.ts";
import { UsageError } from "../../model/errors.ts";
import { type Arguments, refuseTogether } from "../flags/arguments.ts";
import { parseCount, parsePercentage, parseRate } from "../flags/values.ts";

/** Pairs of flags that contradict each other, and why. */
const EXCLUSIVE: readonly (readonly [string, string, string])[] = [
  ["destroy", "destroy-after", "one acts at once, the other later"],
  ["destroy", "fin-only", "one sends a RST, the other a FIN"],
  ["destroy", "linger", "what is destroyed does not linger"],
  ["destroy", "when-idle", "destroying at once does not wait for a pause"],
  ["rate", "over", "one gives a rate, the other a time for all"],
  ["over", "for", "how many connections will appear is not known in advance, so use --rate"],
  ["interactive", "quiet", "the question needs the summary that --quiet hides"],
];

/** Flags that need another flag, or one of several. */
const DEPENDENT: readonly (readonly [string, readonly string[]])[] = [
  ["jitter", ["rate", "over"]],
  ["deadline", ["when-idle"]],
  ["leave-busy", ["when-idle"]],
  ["every", ["for"]],
];

/** The shortest interval of --every. A dump of all sockets more often than this is a load of its own. */
const SHORTEST_EVERY_MS = 50;

/**
 * Returns the options that the flags ask for.
 *
 * @throws {UsageError} For a value out of range, flags that contradict each other, and a flag without the one it needs.
 */
export function hangUpOptions(args: Arguments): HangUpOptions {
  checkConflicts(args);
  const max = args.value("max");
  return {
    dryRun: args.has("dry-run"),
    lingerMs: args.duration("linger"),
    finOnly: args.has("fin-only"),
    waitMs: args.duration("wait"),
    verify: args.has("verify"),
    destroy: args.has("destroy"),
    destroyAfterMs: args.duration("destroy-after"),
    includeSession: args.has("include-session"),
    max: max === undefined ? undefined : parseCount("max", max),
    pacing: spacingOf(args),
    whenIdle: whenIdleOf(args),
    repeat: repeatOf(args),
  };
}

function checkConflicts(args: Arguments): void {
  for (const [one, other, why] of EXCLUSIVE) refuseTogether(args, one, other, why);
  for (const [one, others] of DEPENDENT) {
    if (args.given(one) && !others.some((other) => args.given(other))) {
      const needed = others.map((other) => `--${other}`).join(" or ");
      throw new UsageError(`Option --${one} needs ${needed}`);
    }
  }
}

function spacingOf(args: Arguments): HangUpOptions["pacing"] {
  const rate = args.value("rate");
  const percentage = args.value("jitter");
  const jitter = percentage === undefined ? undefined : parsePercentage("jitter", percentage);
  if (rate !== undefined) return { perSecond: parseRate("rate", rate), jitter };
  const overMs = atLeast(args, "over", 1);
  return overMs === undefined ? undefined : { overMs, jitter };
}

function whenIdleOf(args: Arguments): HangUpOptions["whenIdle"] {
  const idleMs = atLeast(args, "when-idle", 1);
  if (idleMs === undefined) return undefined;
  return { idleMs, deadlineMs: args.duration("deadline"), leaveBusy: args.has("leave-busy") };
}

function repeatOf(args: Arguments): HangUpOptions["repeat"] {
  const forMs = atLeast(args, "for", 1);
  return forMs === undefined ? undefined : { forMs, everyMs: atLeast(args, "every", SHORTEST_EVERY_MS) };
}

function atLeast(args: Arguments, name: string, leastMs: number): number | undefined {
  const ms = args.duration(name);
  if (ms === undefined || ms >= leastMs) return ms;
  throw new UsageError(`--${name} "${args.value(name)}" is too short: expected ${leastMs}ms or more`);
}
