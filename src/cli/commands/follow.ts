// The command `tcphup follow`.

import { followName } from "../../follow.ts";
import type { FollowOptions } from "../../follow/follow_options.ts";
import { UsageError } from "../../model/errors.ts";
import type { Arguments } from "../flags/arguments.ts";
import { DONE } from "../flags/exit_codes.ts";
import { followed, selectionOf } from "../flags/selection.ts";
import { FollowPrinter } from "../output/follow_events.ts";
import { nameFlags } from "../output/report.ts";
import { warn } from "../output/terminal.ts";
import { hangUpOptions } from "./hup_options.ts";
import { onInterrupt } from "./interrupt.ts";

/** Follows names until an interrupt, or until the reader of standard output goes. Neither is a failure. */
export async function follow(args: Arguments): Promise<number> {
  const [names, options] = [namesOf(args), followOptions(args)];
  const printer = new FollowPrinter({
    names,
    quiet: args.has("quiet"),
    json: args.has("json-lines"),
    verbose: args.has("verbose"),
  });
  const interrupt = new AbortController();
  const restore = onInterrupt(() => interrupt.abort());
  try {
    for await (const event of followName(names, { ...options, signal: interrupt.signal, onWarning: warn })) {
      const shown = event.event === "cut" ? { ...event, report: nameFlags(event.report) } : event;
      if (!printer.print(shown)) break;
    }
    return DONE;
  } finally {
    restore();
  }
}

function namesOf(args: Arguments): string[] {
  const { name } = followed(args);
  return [...(name === undefined ? [] : [name]), ...args.values("name")];
}

function followOptions(args: Arguments): FollowOptions {
  const { dryRun, lingerMs, finOnly, destroy, destroyAfterMs, includeSession, max, pacing, whenIdle } = hangUpOptions(
    args,
  );
  return {
    ...{ dryRun, lingerMs, finOnly, destroy, destroyAfterMs, includeSession, max, pacing, whenIdle },
    selection: selectionOf(args),
    everyMs: args.duration("every"),
    afterMs: args.duration("after"),
    liveFile: args.value("live-file"),
    was: args.given("was") ? args.values("was") : undefined,
    elsewhere: args.has("elsewhere"),
    ready: args.has("ready"),
    refuse: isRefusing(args),
    redirect: isRedirecting(args),
  };
}

/** Here --refuse lasts as long as an address is out. @throws {UsageError} With a time. */
function isRefusing(args: Arguments): boolean {
  const time = args.values("refuse").find((value) => value !== undefined);
  if (time === undefined) return args.given("refuse");
  throw new UsageError(
    `Option --refuse takes no time in follow, as in --refuse=${time}: it lasts as long as an address is out`,
  );
}

/** Here --redirect goes to an address that is live. @throws {UsageError} With another one. */
function isRedirecting(args: Arguments): boolean {
  const other = args.values("redirect").find((value) => value !== "live");
  if (other === undefined) return args.given("redirect");
  throw new UsageError(
    `Not where connects can go in follow: "${other}": expected --redirect live, an address that is live`,
  );
}
