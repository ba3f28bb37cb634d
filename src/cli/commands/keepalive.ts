// `tcphup keepalive`.

import type { Connection, Keepalive } from "../../model/connection.ts";
import { unanswered } from "../../front/journal.ts";
import { KEEPALIVE_NAMES, resolveValues } from "../../keepalive/values.ts";
import { keepaliveSysctls } from "../../socket/keepalive_read.ts";
import type { Selection } from "../../select/criteria.ts";
import {
  type KeepaliveReport,
  setKeepalive,
  type SetKeepaliveOptions,
  watchKeepalive,
  type WatchKeepaliveOptions,
} from "../../set_keepalive.ts";
import { type Arguments, refuseTogether, watchInterval } from "../flags/arguments.ts";
import { keepaliveText, parseColumns, type TableColumn, withNetns } from "../output/columns.ts";
import { endpointText, netnsText, outcomeText, ownersText } from "../output/connections.ts";
import { endText, ofAll, outcomeReasons, withoutInterrupted } from "../output/report.ts";
import { connectionTable } from "../output/tables.ts";
import { DONE, exitCode } from "../flags/exit_codes.ts";
import { onInterrupt } from "./interrupt.ts";
import { jsonDocument, jsonLines } from "../output/json.ts";
import { flagName, givenValues, noEffectWarnings } from "../flags/keepalive_values.ts";
import { ProgressLine } from "../output/progress.ts";
import { selectionOf } from "../flags/selection.ts";
import { printTimings } from "../output/timings.ts";
import { print, style, warn, write } from "../output/terminal.ts";
import { Throttle } from "../output/throttle.ts";

/** Sets keepalive, once or for as long as it is wanted. Returns the exit code. */
export async function keepalive(args: Arguments): Promise<number> {
  checkConflicts(args);
  const watch_ms = watchInterval(args);
  const selection = selectionOf(args);
  const options = optionsOf(args);
  const interrupt = new AbortController();
  const restore = onInterrupt(() => interrupt.abort());
  const progress = new ProgressLine();
  try {
    const { signal } = interrupt;
    if (watch_ms !== null) return await watch(args, selection, { ...options, every_ms: watch_ms, signal });
    if (!args.has("quiet")) progress.watchLooking();
    const report = await setKeepalive(selection, { ...options, signal });
    progress.clear();
    show(report, args);
    return exitCode(report);
  } finally {
    progress.clear();
    restore();
  }
}

function checkConflicts(args: Arguments): void {
  for (const name of KEEPALIVE_NAMES) refuseTogether(args, "off", flagName(name), "what is off has no values");
  refuseTogether(args, "off", "only-missing", "nothing that is missing can be turned off");
  refuseTogether(args, "json", "json-lines", "one document, or an object a line");
  refuseTogether(args, "watch", "json", "--json-lines prints again and again");
}

function optionsOf(args: Arguments): SetKeepaliveOptions {
  const off = args.has("off");
  const listeners = args.has("listeners");
  const given = givenValues(args);
  if (!off && !args.has("quiet")) {
    const { values, warnings } = resolveValues(given, {}, keepaliveSysctls()?.tcp_keepalive_time);
    [...warnings, ...noEffectWarnings(values, listeners)].forEach(warn);
  }
  return {
    values: given,
    off,
    listeners,
    only_missing: args.has("only-missing"),
    dry_run: args.has("dry-run"),
  };
}

function show(report: KeepaliveReport, args: Arguments): void {
  const { connections, ...head } = report;
  [...report.unanswered, ...report.unseen].forEach(warn);
  if (args.has("json")) {
    write(jsonDocument(head, "connections", connections));
  } else if (args.has("json-lines")) {
    write(jsonLines(connections));
  } else if (args.has("quiet")) {
    if (exitCode(report) !== DONE) warn(reportLine(report));
  } else {
    const shown = withoutInterrupted(connections);
    if (shown.length > 0) print(table(shown, args.has("verbose")));
    print([reportLine(report)]);
  }
  if (args.has("verbose") && !args.has("quiet")) printTimings(report);
}

/** Lays out what was done, with the network namespaces where there are several. */
function table(connections: readonly Connection[], verbose: boolean): Iterable<string> {
  const [state, local, process] = parseColumns("state,local,process");
  const shown = [state, local, REMOTE, process, BEFORE, AFTER, OUTCOME];
  return connectionTable(connections, withNetns(shown, connections), verbose);
}

const REMOTE: TableColumn = { name: "remote", title: "Remote", text: peerText };
const BEFORE: TableColumn = { name: "before", title: "Before", text: ({ before }) => knownText(before) };
const AFTER: TableColumn = { name: "after", title: "After", text: ({ after }) => knownText(after) };
const OUTCOME: TableColumn = { name: "outcome", title: "Outcome", text: keepaliveOutcome };

function knownText(keepalive: Keepalive | null | undefined): string {
  return keepalive ? keepaliveText(keepalive) : "?";
}

/** Writes the peer as ss(8) does: a listener has none, and ss writes `*` for its port. */
function peerText({ state, dst }: Connection): string {
  return state === "LISTEN" ? endpointText(dst).replace(/0$/, "*") : endpointText(dst);
}

function keepaliveOutcome(connection: Connection): string {
  const text = outcomeText(connection);
  return connection.after?.enabled ? text : text.replace("keepalive set", "keepalive off");
}

/** What was done, in one line: "set keepalive on 10 of 11 connections; 1 denied: pid 812 (postgres): needs …". */
function reportLine(report: KeepaliveReport): string {
  const { matched, unchanged, interrupted, error, connections } = report;
  if (matched === 0) return "no connections match";
  const same = unchanged === 0 ? [] : [`${unchanged} unchanged`];
  const done = interrupted ? `interrupted: ${doneText(report)}` : doneText(report);
  return [done, ...same, ...outcomeReasons(connections), ...endText(error)].join("; ");
}

function doneText({ matched, keepalive_set, would_act = 0, dry_run, values, connections }: KeepaliveReport): string {
  const noun = connections.some(({ state }) => state === "LISTEN") ? "socket" : "connection";
  if (dry_run) return `would ${values === null ? "turn off" : "set"} keepalive on ${ofAll(would_act, matched, noun)}`;
  return `${values === null ? "turned off" : "set"} keepalive on ${ofAll(keepalive_set, matched, noun)}`;
}

/** Prints what happens as it happens, until an interrupt, or until nobody reads it any more. That is no failure. */
async function watch(args: Arguments, selection: Selection, options: WatchKeepaliveOptions): Promise<number> {
  let [looks, changes] = [0, 0];
  const printer = new EventPrinter(args);
  for (const text of unanswered()) printer.warnOnce(text);
  const on_look = (unseen: readonly string[]) => {
    looks++;
    for (const text of unseen) printer.warnOnce(text);
    printer.count();
  };
  for await (const connection of watchKeepalive(selection, { ...options, on_look, on_trouble: warn })) {
    if (isChanged(connection)) changes++;
    if (!printer.tell(connection)) break;
  }
  printer.count(true);
  if (args.has("verbose")) warn(style("faint", `looked ${looks} times, set keepalive on ${changes}`));
  return DONE;
}

function isChanged({ outcome }: Connection): boolean {
  return outcome === "keepalive-set" || outcome === "would-set-keepalive";
}

/** The number of warnings that are remembered, to print each once. Processes choose names in them, so memory needs a bound. */
const MAX_REMEMBERED = 1000;

/** Says what happens, a line each, as long as it is not too much. As JSON it says all. */
class EventPrinter {
  readonly #quiet: boolean;
  readonly #json: boolean;
  readonly #verbose: boolean;
  readonly #warned = new Set<string>();
  readonly #changes = new Throttle(performance.now());
  readonly #warnings = new Throttle(performance.now());

  constructor(args: Arguments) {
    this.#quiet = args.has("quiet");
    this.#json = args.has("json-lines");
    this.#verbose = args.has("verbose");
  }

  /** Returns `false` when nobody reads it any more. */
  tell(connection: Connection): boolean {
    if (this.#json) return write(jsonLines([connection], { time: new Date().toISOString() }));
    if (isChanged(connection)) {
      return this.#quiet || !this.#changes.admits(performance.now()) || print([this.#lineOf(connection)]);
    }
    // A thousand connections of one process need no thousand lines.
    this.#warnOnce(`${connection.outcome} ${connection.error}`, this.#lineOf(connection));
    return true;
  }

  warnOnce(text: string): void {
    this.#warnOnce(text, text);
  }

  #warnOnce(what: string, text: string): void {
    if (this.#warned.has(what)) return;
    if (this.#warned.size >= MAX_REMEMBERED) this.#warned.clear();
    this.#warned.add(what);
    if (this.#warnings.admits(performance.now())) warn(text);
  }

  /** Says how much was left out, now and then and at the end. */
  count(isLast = false): void {
    const [changes, warnings] = [this.#changes, this.#warnings].map((one) => one.leftOut(performance.now(), isLast));
    if (changes > 0) print([`${changes} more connections, too many to name`]);
    if (warnings > 0) warn(`${warnings} more warnings, too many to name`);
  }

  #lineOf(connection: Connection): string {
    const { state, src, before, after, netns_name } = connection;
    return [
      ...(netns_name === undefined ? [] : [netnsText(connection)]),
      state,
      endpointText(src),
      peerText(connection),
      ownersText(connection, this.#verbose),
      ...(before && after ? [`${keepaliveText(before)} → ${keepaliveText(after)}`] : []),
      keepaliveOutcome(connection),
    ].join(" ");
  }
}
