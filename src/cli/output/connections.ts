// Connections in columns, and what became of them in one line.

import { formatEndpoint } from "../../model/address.ts";
import type { Connection, Endpoint, Outcome, Owner } from "../../model/connection.ts";
import { INTERRUPTED, type Report } from "../../report/report.ts";
import { columns, style, type Tone } from "./terminal.ts";

const TONES: Partial<Record<Outcome, Tone>> = {
  "hung-up": "good",
  "destroyed": "good",
  "keepalive-set": "good",
  "unchanged": "faint",
  "already-gone": "faint",
  "skipped": "odd",
  "lingering": "odd",
  "no-owner": "bad",
  "denied": "bad",
  "unsupported": "bad",
  "failed": "bad",
};

/** An endpoint as ss(8) writes it. */
export function endpointText({ address, port }: Endpoint): string {
  return formatEndpoint(address, port);
}

/** An owner as `PID/NAME`; with `verbose`, and its descriptor. */
function ownerText({ pid, fd, comm }: Owner, verbose: boolean): string {
  return verbose ? `${pid}/${comm} fd ${fd}` : `${pid}/${comm}`;
}

/** How many descriptors of one connection a table names. */
const SHOWN_OWNERS = 10;

/** Who holds a connection: one owner and how many more; with `verbose`, by each descriptor. */
export function ownersText({ owners, owners_left_out = 0 }: Connection, verbose: boolean): string {
  if (owners.length === 0) return "-";
  if (owners.length === 1) return ownerText(owners[0], verbose);
  if (verbose || owners_left_out > 0) {
    const shown = owners.slice(0, verbose ? SHOWN_OWNERS : 1);
    const more = owners.length + owners_left_out - shown.length;
    return shown.map((owner) => ownerText(owner, verbose)).join(", ") + (more > 0 ? ` and ${more} more` : "");
  }
  const others = new Set(owners.map(({ pid }) => pid)).size - 1;
  return ownerText(owners[0], false) + (others > 0 ? ` +${others}` : "");
}

/** What became of a connection, and why. */
export function outcomeText({ outcome, error }: Connection): string {
  if (outcome === null) return "";
  const tone = TONES[outcome];
  const text = outcome.replaceAll("-", " ");
  return (tone ? style(tone, text) : text) + (error ? `: ${error}` : "");
}

/** What a connection's network namespace is called, or else its inode number. */
export function netnsText({ netns, netns_name }: Connection): string {
  return netns_name ?? String(netns);
}

/** Those of which there is something to tell: how many an interrupt left untouched is in the summary. */
export function told(connections: readonly Connection[]): readonly Connection[] {
  return connections.filter(({ outcome, error }) => outcome !== "skipped" || error !== INTERRUPTED);
}

/** The table of what was done, line by line; with the network namespaces, where there are several. */
export function outcomeTable(connections: readonly Connection[], verbose: boolean): Iterable<string> {
  const several = connections.some(({ netns_name }) => netns_name !== undefined);
  const titles = ["State", "Local", "Remote", "Process", "Outcome"];
  return columns(several ? ["Netns", ...titles] : titles, outcomeRows(connections, several, verbose));
}

function* outcomeRows(
  connections: readonly Connection[],
  several: boolean,
  verbose: boolean,
): Generator<string[]> {
  for (const connection of connections) {
    yield [
      ...(several ? [netnsText(connection)] : []),
      connection.state,
      endpointText(connection.src),
      endpointText(connection.dst),
      ownersText(connection, verbose),
      outcomeText(connection),
    ];
  }
}

/** ss(8)'s text of a timer: `timer:(keepalive,1min52sec,0)`. */
export function timerText({ timer }: Connection): string {
  return timer === null ? "" : `timer:(${timer.name},${timeText(timer.expires_ms)},${timer.retransmits})`;
}

/** A time as ss(8) writes it, but `2.104sec` where ss has `2.104ms`. */
export function timeText(milliseconds: number): string {
  const fraction = String(milliseconds % 1000).padStart(3, "0");
  const seconds = Math.trunc(milliseconds / 1000);
  if (seconds === 0) return `${fraction}ms`;
  if (seconds < 10) return milliseconds % 1000 === 0 ? `${seconds}sec` : `${seconds}.${fraction}sec`;
  if (seconds < 60) return `${seconds}sec`;
  const minutes = Math.trunc(seconds / 60);
  return minutes > 9 || seconds % 60 === 0 ? `${minutes}min` : `${minutes}min${seconds % 60}sec`;
}

const SHOWN_REASONS = 3;

/** What was done, in one line: "hung up on 10 of 11 connections; 1 denied: pid 812 (postgres): needs …". */
export function summary(report: Report): string {
  const { matched, skipped, gone, refused, error } = report;
  if (matched === 0) return report.interrupted ? "interrupted: no connections matched" : "no connections match";
  if (refused !== null) return `nothing touched: ${refused}`;
  const parts = [report.interrupted ? `interrupted: ${doneText(report)}` : doneText(report)];
  parts.push(...reasons(report.connections));
  const cut = matched - skipped;
  if (gone !== null && cut > 0) parts.push(gone === cut ? "all gone" : `${gone} of ${cut} gone`);
  return [...parts, ...endText(error)].join("; ");
}

/** Why it ended early, if it did. */
export function endText(error: string | null): string[] {
  return error === null ? [] : [`ended early: ${error}`];
}

function doneText({ matched, hung_up, destroyed, dry_run, would_act = 0 }: Report): string {
  if (dry_run) return `would act on ${ofAll(would_act, matched)}`;
  if (destroyed === 0) return `hung up on ${ofAll(hung_up, matched)}`;
  return `${hung_up > 0 ? `hung up on ${hung_up} and ` : ""}destroyed ${ofAll(destroyed, matched)}`;
}

/** `3 of 4 connections`. */
export function ofAll(count: number, all: number, noun = "connection"): string {
  const nouns = all === 1 ? noun : `${noun}s`;
  return count === all ? `${all} ${nouns}` : `${count} of ${all} ${nouns}`;
}

/** What else became of connections, and the commonest reasons. */
export function reasons(connections: readonly Connection[]): string[] {
  const byOutcome = new Map<Outcome, Map<string, number>>();
  for (const { outcome, error } of connections) {
    if (outcome === null || DONE.includes(outcome)) continue;
    const errors = byOutcome.get(outcome) ?? new Map<string, number>();
    byOutcome.set(outcome, errors.set(error ?? "", (errors.get(error ?? "") ?? 0) + 1));
  }
  return [...byOutcome].map(([outcome, errors]) => {
    const total = [...errors.values()].reduce((a, b) => a + b);
    const common = [...errors].sort(([, a], [, b]) => b - a);
    const shown = common.slice(0, SHOWN_REASONS).map(([error, count]) =>
      error + (common.length > 1 && count > 1 ? ` (${count})` : "")
    );
    const more = common.length > SHOWN_REASONS ? `, and ${common.length - SHOWN_REASONS} other reasons` : "";
    return `${total} ${outcome.replaceAll("-", " ")}: ${shown.join(", ")}${more}`;
  });
}

const DONE: readonly Outcome[] = [
  "hung-up",
  "destroyed",
  "would-hang-up",
  "would-destroy",
  "keepalive-set",
  "would-set-keepalive",
  "unchanged",
];
