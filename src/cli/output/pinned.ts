// What is attached in the kernel, as text.

import type { AttachedSettings } from "../../attach/keepalive_attachment.ts";
import type { DestinationCount } from "../../model/destination_count.ts";
import type { ConnectCount, DiversionReport, DiversionRule } from "../../model/diversion.ts";
import type { Pinned } from "../../pinned.ts";
import { formatDuration } from "../../model/duration.ts";
import { counted } from "../../model/wording.ts";
import { formatEndpoint } from "../../model/address.ts";
import type { Selection } from "../../select/selection.ts";
import { renderTable } from "./tables.ts";

/** The destinations that are shown of a program. */
const MOST_SHOWN = 10;

/** Writes the control groups that a program is attached to. */
export function groupsText(cgroups: readonly string[]): string {
  if (cgroups.length > 1) return `each of the control groups ${cgroups.join(", ")}`;
  return cgroups[0] === "/" ? "the root of cgroup v2" : `the control group ${cgroups[0]}`;
}

/** Says what is attached, and for how long. */
export function attachedLine(
  { cgroups }: AttachedSettings,
  { pin, onlyNew, dryRun }: { pin: string | undefined; onlyNew: boolean; dryRun: boolean },
): string {
  const place = groupsText(cgroups);
  if (dryRun) return `would attach to ${place}`;
  const what = onlyNew ? "new connections get it" : "new connections get it too";
  return pin === undefined
    ? `attached to ${place}: ${what}, until interrupted`
    : `attached to ${place} as ${pin}: ${what}, until "tcphup unpin ${pin}"`;
}

/** Lays out what is pinned and, for each, the destinations with the most connections. */
export function* pinnedLines(pinned: readonly Pinned[], verbose: boolean): Generator<string> {
  if (pinned.length === 0) return yield "nothing is pinned";
  yield* renderTable(["Name", "Cgroup", "Connections", "What", "Since"], pinned.map(rowOf));
  for (const { name, counters, connects } of pinned) {
    if (counters.length + connects.length === 0) continue;
    yield "";
    yield `${name}:`;
    const most = verbose ? Infinity : MOST_SHOWN;
    yield* destinationLines(counters, most);
    yield* connectLines(connects, most);
  }
}

function rowOf({ name, settings, attached }: Pinned): string[] {
  if (settings === null) return [name, "?", "made by another version of tcphup, or by another program", "?", "?"];
  const { cgroups, selection, since } = settings;
  const place = attached ? cgroups.join(" ") : `${cgroups.join(" ")} (gone)`;
  const direction = "op" in settings ? null : settings.direction;
  const which = [direction ?? [], selectionText(selection)].flat().join(" ");
  return [name, place, which, "op" in settings ? fateText(settings) : valuesText(settings), timeText(since)];
}

/** Names the criteria of a selection that a program goes by. */
function selectionText({ not: excluded, version, ...given }: Selection): string {
  const criteria = (all: object, not = "") =>
    Object.entries(all).filter(([name]) => !["pid", "cgroup", "container"].includes(name)).map(([name, values]) =>
      `${not}${name === "dstFile" ? "dst-file" : name} ${[values].flat().join(",")}`
    );
  const words = [
    ...criteria(given).filter((text) => text !== "dst any"),
    ...criteria(excluded ?? {}, "not "),
    ...(version === undefined ? [] : [`IPv${version}`]),
  ];
  return words.length === 0 ? "any" : words.join(" ");
}

function valuesText({ values, onlyMissing }: AttachedSettings): string {
  if (values === null) return "off";
  const { idleS, intervalS, count, userTimeoutMs } = values;
  const time = (seconds: number) => seconds === 0 ? "(unset)" : `${seconds}s`;
  const timeout = userTimeoutMs === 0 ? [] : [`user timeout ${formatDuration(userTimeoutMs)}`];
  return [
    `${time(idleS)}+${count === 0 ? "(unset)" : count}*${time(intervalS)}`,
    ...timeout,
    ...(onlyMissing ? ["where missing"] : []),
  ].join(", ");
}

/** Lays out numbers of connections by destination. */
export function destinationLines(counters: readonly DestinationCount[], most = MOST_SHOWN): Generator<string> {
  const rows = counters.map(({ accepted, address, port, set, kept, refused }) => [
    `${accepted ? "at" : "to"} ${formatEndpoint(address, port)}`,
    ...[set, kept, refused].map(String),
  ]);
  return firstRows(["Destination", "Set", "Kept", "Refused"], rows, most);
}

/** Lays out as many rows as are to be shown, and says how many more there are. */
function* firstRows(header: readonly string[], rows: readonly string[][], most: number): Generator<string> {
  if (rows.length === 0) return;
  yield* renderTable(header, rows.slice(0, most));
  if (rows.length > most) yield `and ${rows.length - most} more`;
}

/** Writes what becomes of connects. */
function fateText({ op, to, errno }: DiversionRule): string {
  return op === "refuse" ? `refused (${errno})` : `redirected to ${to.join(" and ")}`;
}

/** Says what becomes of connects from now on, and for how long. */
export function diversionLine(diversion: DiversionReport, dryRun: boolean): string {
  const place = groupsText(diversion.cgroups);
  if (dryRun) return `connects would be ${fateText(diversion)} in ${place}`;
  const { pin } = diversion;
  const end = pin === null ? "" : `, as ${pin}, until "tcphup unpin ${pin}"`;
  return `connects are ${fateText(diversion)} in ${place}${end}`;
}

/** Says how many connects were refused or redirected. */
export function connectsLine({ op, count, lastAt }: DiversionReport): string {
  const done = op === "refuse" ? "refused" : "redirected";
  const last = lastAt === null ? "" : `, the last at ${timeText(lastAt)}`;
  return `${done} ${counted(count, "connect")}${last}`;
}

/** Lays out numbers of connects by destination. */
export function connectLines(connects: readonly ConnectCount[], most = MOST_SHOWN): Generator<string> {
  const rows = connects.map(({ address, port, count, lastAt }) => [
    `to ${formatEndpoint(address, port)}`,
    String(count),
    timeText(lastAt),
  ]);
  return firstRows(["Destination", "Connects", "Last"], rows, most);
}

/** Writes a time of ISO 8601 for people, in UTC. */
function timeText(time: string): string {
  return time.slice(0, 19).replace("T", " ");
}
