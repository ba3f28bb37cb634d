// `tcphup keepalive`.

import type { Connection } from "../connection.ts";
import { keepaliveSysctls } from "../keepalive_of.ts";
import { KEEPALIVE_NAMES, resolveValues } from "../keepalive/values.ts";
import type { Selection } from "../selection/selection.ts";
import {
  type KeepaliveReport,
  setKeepalive,
  type SetKeepaliveOptions,
  watchKeepalive,
  type WatchKeepaliveOptions,
} from "../set_keepalive.ts";
import { type Arguments, exclude, watchInterval } from "./arguments.ts";
import { keepaliveText } from "./columns.ts";
import { endpointText, ofAll, outcomeText, ownersText, reasons } from "./connections.ts";
import { DONE, exitCode } from "./exit_codes.ts";
import { onInterrupt } from "./interrupt.ts";
import { jsonDocument, jsonLines } from "./json.ts";
import { flagOf, givenValues, warnOfNoEffect } from "./keepalive_values.ts";
import { selectionOf } from "./selection.ts";
import { columns, complain, paint, print, write } from "./terminal.ts";

/** Sets keepalive, once or for as long as it is wanted. Returns the exit code. */
export async function keepalive(args: Arguments): Promise<number> {
  checkTogether(args);
  const watch_ms = watchInterval(args);
  const selection = selectionOf(args);
  const options = optionsOf(args);
  const interrupt = new AbortController();
  const restore = onInterrupt(() => interrupt.abort());
  try {
    const { signal } = interrupt;
    if (watch_ms !== null) return await watch(args, selection, { ...options, every_ms: watch_ms, signal });
    const report = await setKeepalive(selection, { ...options, signal });
    show(report, args);
    return exitCode(report);
  } finally {
    restore();
  }
}

function checkTogether(args: Arguments): void {
  for (const name of KEEPALIVE_NAMES) exclude(args, "off", flagOf(name), "what is off has no values");
  exclude(args, "off", "only-missing", "nothing that is missing can be turned off");
  exclude(args, "json", "json-lines", "one document, or an object a line");
  exclude(args, "watch", "json", "--json-lines prints again and again");
}

function optionsOf(args: Arguments): SetKeepaliveOptions {
  const off = args.has("off");
  const listeners = args.has("listeners");
  const given = givenValues(args);
  if (!off && !args.has("quiet")) {
    const { values, warnings } = resolveValues(given, {}, keepaliveSysctls()?.tcp_keepalive_time);
    [...warnings, ...warnOfNoEffect(values, listeners)].forEach(complain);
  }
  return {
    values: given,
    off,
    listeners,
    only_missing: args.has("only-missing"),
    include_session: args.has("include-session"),
    dry_run: args.has("dry-run"),
  };
}

function show(report: KeepaliveReport, args: Arguments): void {
  const { connections, ...head } = report;
  if (args.has("quiet")) {
    if (exitCode(report) !== DONE) complain(summary(report));
  } else if (args.has("json")) {
    write(jsonDocument(head, "connections", connections));
  } else if (args.has("json-lines")) {
    write(jsonLines(connections));
  } else {
    print([...table(connections, args.has("verbose")), summary(report)]);
  }
  if (args.has("verbose") && !args.has("quiet")) complainOfTime(report);
}

function* table(connections: readonly Connection[], verbose: boolean): Generator<string> {
  if (connections.length === 0) return;
  const header = ["State", "Local", "Remote", "Process", "Before", "After", "Outcome"];
  yield* columns(header, connections.map((connection) => cellsOf(connection, verbose)));
}

function cellsOf(connection: Connection, verbose: boolean): string[] {
  const { state, src, dst, before, after } = connection;
  return [
    state,
    endpointText(src),
    // As ss(8) writes the peer that a listener does not have.
    state === "LISTEN" ? endpointText(dst).replace(/0$/, "*") : endpointText(dst),
    ownersText(connection, verbose),
    before ? keepaliveText(before) : "?",
    after ? keepaliveText(after) : "?",
    outcomeText(connection).replace("keepalive set", after?.enabled === false ? "keepalive off" : "keepalive set"),
  ];
}

/** What was done, in one line: "set keepalive on 10 of 11 connections; 1 denied: pid 812 (postgres): needs …". */
function summary(report: KeepaliveReport): string {
  const { matched, unchanged, interrupted, connections } = report;
  if (matched === 0) return "no connections match";
  const same = unchanged === 0 ? [] : [`${unchanged} unchanged`];
  return [interrupted ? `interrupted: ${doneText(report)}` : doneText(report), ...same, ...reasons(connections)].join(
    "; ",
  );
}

function doneText({ matched, keepalive_set, would_act = 0, dry_run, values, connections }: KeepaliveReport): string {
  const noun = connections.some(({ state }) => state === "LISTEN") ? "socket" : "connection";
  if (dry_run) return `would ${values === null ? "turn off" : "set"} keepalive on ${ofAll(would_act, matched, noun)}`;
  return `${values === null ? "turned off" : "set"} keepalive on ${ofAll(keepalive_set, matched, noun)}`;
}

function complainOfTime({ elapsed_ms, phases_ms, unreadable_processes }: KeepaliveReport): void {
  const spent = (["select", "resolve", "act"] as const).map((phase) => `${phase} ${phases_ms[phase].toFixed(0)}`);
  const unread = `${unreadable_processes} processes could not be looked into`;
  complain(paint("faint", `${elapsed_ms} ms: ${spent.join(", ")}; ${unread}`));
}

/** Prints what happens as it happens, until an interrupt, or until nobody reads it any more. That is no failure. */
async function watch(args: Arguments, selection: Selection, options: WatchKeepaliveOptions): Promise<number> {
  let [looks, changes] = [0, 0];
  for await (const connection of watchKeepalive(selection, { ...options, on_look: () => looks++ })) {
    if (isChanged(connection)) changes++;
    if (!tell(connection, args)) break;
  }
  if (args.has("verbose")) complain(paint("faint", `looked ${looks} times, set keepalive on ${changes}`));
  return DONE;
}

function isChanged({ outcome }: Connection): boolean {
  return outcome === "keepalive-set" || outcome === "would-set-keepalive";
}

function tell(connection: Connection, args: Arguments): boolean {
  const changed = isChanged(connection);
  if (args.has("json-lines")) return write(jsonLines([connection], { time: new Date().toISOString() }));
  const line = lineOf(connection, args.has("verbose"));
  if (!changed) complain(line);
  return !changed || args.has("quiet") || print([line]);
}

function lineOf(connection: Connection, verbose: boolean): string {
  const [state, local, remote, owners, before, after, outcome] = cellsOf(connection, verbose);
  const change = connection.after ? ` ${before} → ${after}` : "";
  return `${state} ${local} ${remote} ${owners}${change} ${outcome}`;
}
