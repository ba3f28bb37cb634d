// The options of `tcphup hup` from its flags. What is out of range, and what contradicts, is refused by hangUp().

import { parseDuration } from "../../model/duration.ts";
import type { HangUpOptions } from "../../act/hang_up_options.ts";
import { type Arguments, refuseTogether } from "../flags/arguments.ts";
import { parseCount, parsePercentage, parseRate } from "../flags/values.ts";

/**
 * Returns the options that the flags ask for.
 *
 * @throws {UsageError} For a value that cannot be read.
 */
export function hangUpOptions(args: Arguments): HangUpOptions {
  refuseTogether(args, "interactive", "quiet", "the question needs the summary that --quiet hides");
  for (const name of ["refuse", "redirect"]) refuseTogether(args, name, "no-bpf", "it is done with BPF");
  const options = {
    dryRun: args.has("dry-run"),
    lingerMs: args.duration("linger"),
    finOnly: args.has("fin-only"),
    waitMs: args.duration("wait"),
    verify: args.has("verify"),
    destroy: args.has("destroy"),
    destroyAfterMs: args.duration("destroy-after"),
    includeSession: args.has("include-session"),
    max: args.parsed("max", parseCount),
    pacing: ifGiven({
      perSecond: args.parsed("rate", parseRate),
      overMs: args.duration("over"),
      jitter: args.parsed("jitter", parsePercentage),
    }),
    whenIdle: ifGiven({
      idleMs: args.duration("when-idle"),
      deadlineMs: args.duration("deadline"),
      leaveBusy: args.has("leave-busy") || undefined,
    }),
    refuse: args.given("refuse") ? { forMs: args.duration("refuse") } : undefined,
    redirect: redirection(args),
    pin: args.value("pin"),
    repeat: ifGiven({ forMs: args.duration("for"), everyMs: args.duration("every") }),
  };
  // A part may lack what it needs: hangUp() refuses that.
  return options as HangUpOptions;
}

/** Returns where --redirect says that connects go, and for how long. */
function redirection(args: Arguments): HangUpOptions["redirect"] {
  if (!args.given("redirect")) return undefined;
  const values = args.values("redirect").map((value) => value.split(" "));
  const times = values.flatMap(([, ...words]) => words.length === 0 ? [] : [words.join(" ")]);
  const [forMs] = times.slice(-1).map((text) => parseDuration(text, { label: "--redirect", bare: ["s"] }));
  return { to: values.map(([address = ""]) => address), forMs };
}

/** Returns a group of options of which one is given at least. */
function ifGiven<T extends object>(options: T): T | undefined {
  return Object.values(options).some((value) => value !== undefined) ? options : undefined;
}
