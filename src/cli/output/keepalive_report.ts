// The report of `tcphup keepalive`: a table of the values before and after, and a line that sums it up.

import type { Connection, Keepalive } from "../../model/connection.ts";
import type { KeepaliveResult } from "../../model/result.ts";
import type { KeepaliveReport } from "../../report/report.ts";
import { keepaliveText, parseColumns, type TableColumn, withNetns } from "./columns.ts";
import { endpointText, outcomeText } from "./connections.ts";
import { endText, ofAll, outcomeReasons } from "./report.ts";
import { connectionTable } from "./tables.ts";

/** Lays out what was done, with the network namespaces where there are several. */
export function keepaliveTable(results: readonly KeepaliveResult[], verbose: boolean): Iterable<string> {
  const shown = [...parseColumns("state,local"), REMOTE, ...parseColumns("process"), BEFORE, AFTER, OUTCOME];
  return connectionTable(results, withNetns(shown, results), verbose);
}

type KeepaliveColumn = TableColumn<KeepaliveResult>;

const REMOTE: KeepaliveColumn = { name: "remote", title: "Remote", text: ({ connection }) => peerText(connection) };
const BEFORE: KeepaliveColumn = { name: "before", title: "Before", text: ({ before }) => knownText(before) };
const AFTER: KeepaliveColumn = { name: "after", title: "After", text: ({ after }) => knownText(after) };
const OUTCOME: KeepaliveColumn = { name: "outcome", title: "Outcome", text: keepaliveOutcome };

function knownText(keepalive: Keepalive | null): string {
  return keepalive ? keepaliveText(keepalive) : "?";
}

/** Writes the peer as ss(8) does: a listener has none, and ss writes `*` for its port. */
export function peerText({ state, dst }: Connection): string {
  return state === "LISTEN" ? endpointText(dst).replace(/0$/, "*") : endpointText(dst);
}

/** Writes the outcome of a connection; one whose keepalive was turned off has its own words. */
export function keepaliveOutcome(result: KeepaliveResult): string {
  const text = outcomeText(result);
  return result.after?.enabled ? text : text.replace("keepalive set", "keepalive off");
}

/** Sums a report up in one line: "set keepalive on 10 of 11 connections; 1 denied: pid 812 (postgres): needs …". */
export function keepaliveReportLine(report: KeepaliveReport): string {
  const { matched, unchanged, interrupted, error, results } = report;
  if (matched === 0) return "no connections match";
  const same = unchanged === 0 ? [] : [`${unchanged} unchanged`];
  const done = interrupted ? `interrupted: ${doneText(report)}` : doneText(report);
  return [done, ...same, ...outcomeReasons(results), ...endText(error)].join("; ");
}

function doneText({ matched, keepaliveSet, wouldAct = 0, dryRun, values, results }: KeepaliveReport): string {
  const noun = results.some(({ connection }) => connection.state === "LISTEN") ? "socket" : "connection";
  if (dryRun) return `would ${values === null ? "turn off" : "set"} keepalive on ${ofAll(wouldAct, matched, noun)}`;
  return `${values === null ? "turned off" : "set"} keepalive on ${ofAll(keepaliveSet, matched, noun)}`;
}
