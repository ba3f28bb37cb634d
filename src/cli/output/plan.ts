// The text of `tcphup plan`.

import type { Detection } from "../../keepalive/detection.ts";
import { formatDuration, formatMinutes } from "../../model/duration.ts";
import type { Plan } from "../../keepalive/plan.ts";

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
  const { keepalive, services, hosts, probeBytes, withoutKeepalive } = plan;
  const timeout = keepalive.userTimeoutMs ? formatDuration(keepalive.userTimeoutMs) : "none";
  const noticed = ({ idleMs, inFlightMs }: Detection) =>
    `after ${formatDuration(idleMs)} when idle, ${formatDuration(inFlightMs)} with data in flight`
      .replace("after never", "never");
  return pairs([
    ["idle", formatDuration(keepalive.idleS * 1000)],
    ["interval", formatDuration(keepalive.intervalS * 1000)],
    ["count", counted(keepalive.count, "probe")],
    ["user timeout", timeout],
    ["first probe", `${formatDuration(plan.firstProbeMs)} after the last sign of the peer`],
    ["silent peer noticed", noticed(plan)],
    ["without keepalive", noticed(withoutKeepalive)],
    [
      "traffic",
      `${counted(plan.bytesPerHour, "byte")} an hour: ${counted(services, "service")}, ${counted(hosts, "host")}, ` +
      `a probe of ${counted(probeBytes, "byte")} every ${formatDuration(plan.probePeriodMs)}`,
    ],
  ]);
}

function table({ table, keepalive }: Plan): string[] {
  const head = ["interval", "bytes an hour", "hangs up after", "noticed after"];
  const rows = table.map(({ intervalS, bytesPerHour, hangUpMs, noticedMs }) => [
    `${intervalS} s`,
    grouped(bytesPerHour),
    formatMinutes(hangUpMs),
    formatMinutes(noticedMs),
  ]);
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return [
    ...lines.map((cells) => cells.map((cell, column) => cell.padStart(widths[column] ?? 0)).join("  ")),
    "",
    `Each row has idle as long as the interval. A connection hangs up when ${counted(keepalive.count, "probe")} went`,
    "unanswered, counted from the first of them; noticed counts from the last sign of the peer.",
  ];
}

/** Writes a plan as text, without a newline at the end. */
export function formatPlan(plan: Plan): string {
  return [...summary(plan), "", ...table(plan)].join("\n");
}
