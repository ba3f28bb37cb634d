// The text of `tcphup plan`.

import type { Detection } from "../../keepalive/detection.ts";
import { formatDuration, formatMinutes } from "../../model/duration.ts";
import type { Plan } from "../../plan.ts";

/** Writes a whole number with a comma between thousands. toLocaleString() would take 20 ms to load its locales. */
function grouped(number: number): string {
  return BigInt(number).toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

function counted(number: number, noun: string): string {
  return `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Lays texts out in two columns, the first as wide as its longest text. */
function pairs(lines: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...lines.map(([left]) => left.length));
  return lines.map(([left, right]) => `${left.padEnd(width)}  ${right}`);
}

function summary(plan: Plan): string[] {
  const { keepalive, services, hosts, probe_bytes, without_keepalive } = plan;
  const timeout = keepalive.user_timeout_ms ? formatDuration(keepalive.user_timeout_ms) : "none";
  const noticed = ({ idle_ms, in_flight_ms }: Detection) =>
    `after ${formatDuration(idle_ms)} when idle, ${formatDuration(in_flight_ms)} with data in flight`
      .replace("after never", "never");
  return pairs([
    ["idle", formatDuration(keepalive.idle_s * 1000)],
    ["interval", formatDuration(keepalive.interval_s * 1000)],
    ["count", counted(keepalive.count, "probe")],
    ["user timeout", timeout],
    ["first probe", `${formatDuration(plan.first_probe_ms)} after the last sign of the peer`],
    ["silent peer noticed", noticed(plan)],
    ["without keepalive", noticed(without_keepalive)],
    [
      "traffic",
      `${counted(plan.bytes_per_hour, "byte")} an hour: ${counted(services, "service")}, ${counted(hosts, "host")}, ` +
      `a probe of ${counted(probe_bytes, "byte")} every ${formatDuration(plan.probe_period_ms)}`,
    ],
  ]);
}

function table({ table, keepalive }: Plan): string[] {
  const head = ["interval", "bytes an hour", "hangs up after", "noticed after"];
  const rows = table.map(({ interval_s, bytes_per_hour, hang_up_ms, noticed_ms }) => [
    `${interval_s} s`,
    grouped(bytes_per_hour),
    formatMinutes(hang_up_ms),
    formatMinutes(noticed_ms),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  return [
    ...[head, ...rows].map((row) => row.map((cell, column) => cell.padStart(widths[column])).join("  ")),
    "",
    `Each row has idle as long as the interval. A connection hangs up when ${counted(keepalive.count, "probe")} went`,
    "unanswered, counted from the first of them; noticed counts from the last sign of the peer.",
  ];
}

/** Writes a plan as text, without a newline at the end. */
export function formatPlan(plan: Plan): string {
  return [...summary(plan), "", ...table(plan)].join("\n");
}
