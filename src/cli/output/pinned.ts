// What is attached in the kernel, as text.

import type { AttachedSettings, DestinationCount, PinnedKeepalive } from "../../attach_keepalive.ts";
import { formatDuration } from "../../model/duration.ts";
import { formatEndpoint } from "../../model/address.ts";
import type { Selection } from "../../select/criteria.ts";
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
  { pin, dryRun }: { pin: string | undefined; dryRun: boolean },
): string {
  const place = groupsText(cgroups);
  if (dryRun) return `would attach to ${place}`;
  return pin === undefined
    ? `attached to ${place}: new connections get it too, until interrupted`
    : `attached to ${place} as ${pin}: new connections get it too, until "tcphup unpin ${pin}"`;
}

/** Lays out what is pinned and, for each, the destinations with the most connections. */
export function* pinnedLines(pinned: readonly PinnedKeepalive[], verbose: boolean): Generator<string> {
  if (pinned.length === 0) return yield "nothing is pinned";
  yield* renderTable(["Name", "Cgroup", "Connections", "Keepalive", "Since"], pinned.map(rowOf));
  for (const { name, counters } of pinned) {
    if (counters.length === 0) continue;
    yield "";
    yield `${name}:`;
    yield* destinationLines(counters, verbose ? Infinity : MOST_SHOWN);
  }
}

function rowOf({ name, settings, attached }: PinnedKeepalive): string[] {
  if (settings === null) return [name, "?", "made by another version of tcphup, or by another program", "?", "?"];
  const { cgroups, selection, direction, since } = settings;
  const place = attached ? cgroups.join(" ") : `${cgroups.join(" ")} (gone)`;
  const which = [direction ?? [], selectionText(selection)].flat().join(" ");
  return [name, place, which, valuesText(settings), since.slice(0, 19).replace("T", " ")];
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
export function* destinationLines(counters: readonly DestinationCount[], most = MOST_SHOWN): Generator<string> {
  if (counters.length === 0) return;
  const rows = counters.slice(0, most).map(({ accepted, address, port, set, kept, refused }) => [
    `${accepted ? "at" : "to"} ${formatEndpoint(address, port)}`,
    ...[set, kept, refused].map(String),
  ]);
  yield* renderTable(["Destination", "Set", "Kept", "Refused"], rows);
  if (counters.length > most) yield `and ${counters.length - most} more`;
}
