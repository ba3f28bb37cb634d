// The summary of `--summary` and `--interactive`: the matched connections in groups, on one screen.

import type { Unread } from "../../model/connection.ts";
import { detection, effective, type KeepaliveSysctls } from "../../keepalive/detection.ts";
import { SYSTEM_VALUES } from "../../keepalive/values.ts";
import { formatDuration } from "../../model/duration.ts";
import { only } from "../../model/only.ts";
import { counted } from "../../model/wording.ts";
import type { NetnsSysctls } from "../../list.ts";
import { type Group, IDLE_AFTER_MS, type Summary, type Totals } from "../../report/summary.ts";
import { endpointText } from "./connections.ts";
import { renderTable } from "./tables.ts";

const HEADER = ["Count", "Destination", "Process", "State", "Idle", "No keepalive", "Recv-Q", "Send-Q"];

/** The lines of a summary besides its groups: title, blank line and total. */
const FIXED_LINES = 3;

/** Renders a summary in at most `height` lines. */
export function summaryLines({ total, groups }: Summary, height = Infinity): string[] {
  if (total.count === 0) return ["no connections match"];
  const room = Math.max(1, height - FIXED_LINES);
  const shown = groups.length > room ? groups.slice(0, room - 1) : groups;
  const table = [...renderTable(HEADER, shown.map(rowOf))];
  const hidden = groups.slice(shown.length);
  if (hidden.length > 0) {
    const sum = hidden.reduce((sum, { count }) => sum + count, 0);
    table.push(`${sum}  in ${counted(hidden.length, "more group")}: --json names them all`);
  }
  return [...table, "", totalLine(total)];
}

function rowOf(group: Group): string[] {
  const { count, states, idle, rqueue, wqueue } = group;
  const cells = [destinationText(group), processText(group), statesText(states)];
  return [String(count), ...cells, String(idle), withoutText(group), String(rqueue), String(wqueue)];
}

/** Writes the peer; for accepted connections, the local endpoint and the number of peers. */
function destinationText({ direction, destination, peers }: Group): string {
  const text = endpointText(destination);
  return direction === "out" ? text : `${text} from ${counted(peers, "peer")}`;
}

function processText({ process, pids }: Group): string {
  if (process === null) return "-";
  return pids.length === 1 ? `${pids[0]}/${process}` : `${process} (${pids.length})`;
}

function statesText(states: Totals["states"]): string {
  // The count of a single state is the first column.
  return only(Object.keys(states)) ?? Object.entries(states).map(([state, count]) => `${count} ${state}`).join(", ");
}

function withoutText({ withoutKeepalive, keepaliveUnknown }: Totals): string {
  return keepaliveUnknown > 0 ? `${withoutKeepalive} (${keepaliveUnknown} unknown)` : String(withoutKeepalive);
}

function totalLine(total: Totals): string {
  const { count, states, idle, rqueue, wqueue } = total;
  const parts = [
    `${counted(count, "connection")}: ${Object.entries(states).map(([state, n]) => `${n} ${state}`).join(", ")}`,
    `${idle} idle for ${formatDuration(IDLE_AFTER_MS)} or longer`,
    `${withoutText(total)} without keepalive`,
    `${rqueue} bytes not read, ${wqueue} not acknowledged`,
  ];
  return parts.join("; ");
}

/** Tells the keepalive sysctls and when they notice a dead peer. Namespaces with the same values share a line. */
export function sysctlLines(sysctls: readonly NetnsSysctls[]): string[] {
  if (sysctls.length <= 1) return sysctls.map(sysctlLine);
  return [...Map.groupBy(sysctls, sysctlLine)].map(([line, namespaces]) => {
    const { length, 0: first } = namespaces;
    return `${length === 1 ? `network namespace ${first!.netns}` : counted(length, "network namespace")}: ${line}`;
  });
}

function sysctlLine(settings: KeepaliveSysctls): string {
  const { tcpKeepaliveTime, tcpKeepaliveIntvl, tcpKeepaliveProbes } = settings;
  const { idleMs, inFlightMs } = detection(effective(SYSTEM_VALUES, settings), settings);
  return `net.ipv4.tcp_keepalive_{time,intvl,probes} = ${tcpKeepaliveTime}, ${tcpKeepaliveIntvl}, ` +
    `${tcpKeepaliveProbes}: a dead peer is noticed after ${formatDuration(idleMs)} with SO_KEEPALIVE alone, ` +
    `never without it, and with data unacknowledged after ${formatDuration(inFlightMs)}`;
}

/** Says why the keepalive of some connections is unknown; null when it is known of all. */
export function unreadLine(unread: readonly Unread[], connections: number): string | null {
  if (unread.length === 0) return null;
  const total = unread.reduce((sum, { count }) => sum + count, 0);
  const reasons = unread.map(({ reason, count }) => unread.length === 1 ? reason : `${reason} (${count})`);
  return `the keepalive of ${total} of ${counted(connections, "connection")} could not be read: ${reasons.join(", ")}`;
}
