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
    dry_run: args.has("dry-run"),
    linger_ms: args.duration("linger"),
    fin_only: args.has("fin-only"),
    wait_ms: args.duration("wait"),
    verify: args.has("verify"),
    destroy: args.has("destroy"),
    destroy_after_ms: args.duration("destroy-after"),
    include_session: args.has("include-session"),
    max: max === undefined ? undefined : parseCount("max", max),
    spacing: spacingOf(args),
    when_idle: whenIdleOf(args),
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

function spacingOf(args: Arguments): HangUpOptions["spacing"] {
  const rate = args.value("rate");
  const percentage = args.value("jitter");
  const jitter = percentage === undefined ? undefined : parsePercentage("jitter", percentage);
  if (rate !== undefined) return { per_s: parseRate("rate", rate), jitter };
  const over_ms = atLeast(args, "over", 1);
  return over_ms === undefined ? undefined : { over_ms, jitter };
}

function whenIdleOf(args: Arguments): HangUpOptions["when_idle"] {
  const idle_ms = atLeast(args, "when-idle", 1);
  if (idle_ms === undefined) return undefined;
  return { idle_ms, deadline_ms: args.duration("deadline"), leave_busy: args.has("leave-busy") };
}

function repeatOf(args: Arguments): HangUpOptions["repeat"] {
  const for_ms = atLeast(args, "for", 1);
  return for_ms === undefined ? undefined : { for_ms, every_ms: atLeast(args, "every", SHORTEST_EVERY_MS) };
}

function atLeast(args: Arguments, name: string, least_ms: number): number | undefined {
  const ms = args.duration(name);
  if (ms === undefined || ms >= least_ms) return ms;
  throw new UsageError(`--${name} "${args.value(name)}" is too short: expected ${least_ms}ms or more`);
}
