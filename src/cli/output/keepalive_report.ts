// The report of `tcphup keepalive`: a table of the values before and after, and a line that sums it up.

import type { Connection, Keepalive } from "../../model/connection.ts";
import type { KeepaliveReport } from "../../set_keepalive.ts";
import { keepaliveText, parseColumns, type TableColumn, withNetns } from "./columns.ts";
import { endpointText, outcomeText } from "./connections.ts";
import { endText, ofAll, outcomeReasons } from "./report.ts";
import { connectionTable } from "./tables.ts";

/** Lays out what was done, with the network namespaces where there are several. */
export function keepaliveTable(connections: readonly Connection[], verbose: boolean): Iterable<string> {
  const shown = [...parseColumns("state,local"), REMOTE, ...parseColumns("process"), BEFORE, AFTER, OUTCOME];
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
export function peerText({ state, dst }: Connection): string {
  return state === "LISTEN" ? endpointText(dst).replace(/0$/, "*") : endpointText(dst);
}

/** Writes the outcome of a connection; one whose keepalive was turned off has its own words. */
export function keepaliveOutcome(connection: Connection): string {
  const text = outcomeText(connection);
  return connection.after?.enabled ? text : text.replace("keepalive set", "keepalive off");
}

/** Sums a report up in one line: "set keepalive on 10 of 11 connections; 1 denied: pid 812 (postgres): needs …". */
export function keepaliveReportLine(report: KeepaliveReport): string {
  const { matched, unchanged, interrupted, error, connections } = report;
  if (matched === 0) return "no connections match";
  const same = unchanged === 0 ? [] : [`${unchanged} unchanged`];
  const done = interrupted ? `interrupted: ${doneText(report)}` : doneText(report);
  return [done, ...same, ...outcomeReasons(connections), ...endText(error)].join("; ");
}

function doneText({ matched, keepaliveSet, wouldAct = 0, dryRun, values, connections }: KeepaliveReport): string {
  const noun = connections.some(({ state }) => state === "LISTEN") ? "socket" : "connection";
  if (dryRun) return `would ${values === null ? "turn off" : "set"} keepalive on ${ofAll(wouldAct, matched, noun)}`;
  return `${values === null ? "turned off" : "set"} keepalive on ${ofAll(keepaliveSet, matched, noun)}`;
}
