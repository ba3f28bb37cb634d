// The columns of `tcphup ls`, as data: the table, --columns, --sort and the help are made from this list. A column is named
// as in ss(8) where ss has it.

import { parseAddress } from "../../model/address.ts";
import { expectedWord } from "../../model/closest.ts";
import type { Connection, Endpoint, HeldConnection, Keepalive } from "../../model/connection.ts";
import type { ListedConnection, TcpInfo } from "../../model/connection.ts";
import { formatDuration } from "../../model/duration.ts";
import type { ListConnectionsOptions } from "../../list.ts";
import { idleOf } from "../../report/summary.ts";
import { UsageError } from "../../model/errors.ts";
import { endpointText, netnsText, ownersText, timerText, timeText } from "./connections.ts";

/** The value that a row is sorted by; null comes last in either direction. */
type SortKey = number | string | null;

/** A column of a table of connections. */
export interface TableColumn<C extends HeldConnection> {
  readonly name: string;
  readonly title: string;
  text(connection: C, verbose: boolean): string;
}

/** A column of `tcphup ls`, under the name that --columns and --sort take. */
export interface Column extends TableColumn<ListedConnection> {
  /** A few words of help. */
  readonly help: string;
  /** The part of a connection that the listing has to read for this column. */
  readonly needs?: keyof ListConnectionsOptions;
  key(connection: ListedConnection): SortKey;
}

/** Makes a column that is sorted by its text, or by `key`. */
function plain(
  name: string,
  title: string,
  help: string,
  value: (connection: Connection) => number | string,
  key: (connection: Connection) => SortKey = value,
): Column {
  return { name, title, help, text: (one) => String(value(one.connection)), key: (one) => key(one.connection) };
}

/** Makes a column of a number from tcp_info, with "-" where the kernel gave none. */
function measured(
  name: string,
  title: string,
  help: string,
  value: (connection: Connection) => number | null,
  text: (value: number) => string = String,
): Column {
  const shown = (connection: Connection) => {
    const number = value(connection);
    return number === null ? "-" : text(number);
  };
  return { ...plain(name, title, help, shown, value), needs: "tcpInfo" };
}

/** Returns a function that reads a field of tcp_info. */
function field(name: keyof TcpInfo): (connection: Connection) => number | null {
  return ({ tcpInfo }) => tcpInfo?.[name] ?? null;
}

/** All columns, in the order of the help. */
export const COLUMNS: readonly Column[] = [
  plain("state", "State", "the state, as ss spells it", ({ state }) => state),
  plain("recv-q", "Recv-Q", "bytes that the application has not read", ({ rqueue }) => rqueue),
  plain("send-q", "Send-Q", "bytes that the peer has not acknowledged", ({ wqueue }) => wqueue),
  plain("local", "Local", "the local address and port", ({ src }) => endpointText(src), ({ src }) => endpointKey(src)),
  plain(
    "remote",
    "Remote",
    "the address and port of the peer",
    ({ dst }) => endpointText(dst),
    ({ dst }) => endpointKey(dst),
  ),
  {
    name: "process",
    title: "Process",
    help: "who holds it",
    text: ownersText,
    key: ({ owners: [first] }) => first === undefined ? null : `${first.comm}/${String(first.pid).padStart(10)}`,
  },
  {
    name: "timer",
    title: "Timer",
    help: "the running timer: name, time until it fires, retransmissions",
    text: ({ connection }) => timerText(connection),
    key: ({ connection: { timer } }) => timer?.expiresMs ?? null,
  },
  plain("protocol", "Protocol", "tcp or mptcp", ({ protocol }) => protocol),
  plain("family", "Family", "inet or inet6, which may carry IPv4 too", ({ family }) => family),
  plain("uid", "UID", "the user that opened it", ({ uid }) => uid),
  plain("netns", "Netns", "its network namespace: name, a process in it, or inode", netnsText),
  plain("inode", "Inode", "inode number of the socket", ({ inode }) => inode),
  {
    name: "cookie",
    title: "Cookie",
    help: "cookie of the socket, sk: in ss",
    text: ({ connection: { cookie } }) => cookie,
    key: ({ connection: { cookie } }) => cookie.padStart(16, "0"),
  },
  {
    name: "keepalive",
    title: "Keepalive",
    help: "off, or IDLE+COUNT*INTERVAL, and the user timeout if any",
    needs: "keepalive",
    text: ({ keepalive }) => keepalive ? keepaliveText(keepalive) : "?",
    key: ({ keepalive }) => keepalive ? keepaliveKey(keepalive) : null,
  },
  {
    name: "noticed",
    title: "Dead peer noticed",
    help: "after how long, when idle and with unacknowledged data",
    needs: "keepalive",
    text: ({ deadPeerNoticed: noticed }) =>
      noticed ? `${formatDuration(noticed.idleMs)}; with data ${formatDuration(noticed.inFlightMs)}` : "?",
    key: ({ deadPeerNoticed: noticed }) => noticed ? noticed.idleMs ?? Infinity : null,
  },
  measured("idle", "Idle", "time since data last moved in either direction", idleOf, timeText),
  measured("lastsnd", "Lastsnd", "time since data was last sent", field("lastDataSentMs"), timeText),
  measured("lastrcv", "Lastrcv", "time since data was last received", field("lastDataRecvMs"), timeText),
  measured("lastack", "Lastack", "time since the last acknowledgement", field("lastAckRecvMs"), timeText),
  measured("rtt", "RTT", "round-trip time", field("rttUs"), microsecondsText),
  measured("rto", "RTO", "retransmission timeout", field("rtoUs"), microsecondsText),
  measured("unacked", "Unacked", "unacknowledged segments", field("unacked")),
  measured("notsent", "Notsent", "bytes not sent yet", field("notsentBytes")),
  measured("retrans", "Retrans", "retransmission timeouts in a row", field("retransmits")),
  measured("resent", "Resent", "segments retransmitted so far", field("totalRetrans")),
  measured("probes", "Probes", "unanswered probes", field("probes")),
  measured("backoff", "Backoff", "doublings of the timeout", field("backoff")),
  measured("bytes_acked", "Bytes-acked", "bytes that the peer has acknowledged", field("bytesAcked")),
  measured("bytes_received", "Bytes-received", "bytes received", field("bytesReceived")),
];

/** The columns of `ss -tno`, and the owner. */
const DEFAULT_COLUMNS = "state,recv-q,send-q,local,remote,process,timer";

/** The columns that --keepalive adds. */
const KEEPALIVE_COLUMNS = "keepalive,noticed";

function columnNamed(name: string, flag: string): Column {
  const column = COLUMNS.find((column) => column.name === name.toLowerCase());
  if (column) return column;
  const known = COLUMNS.map(({ name }) => name);
  throw new UsageError(`Unknown column "${name}" for --${flag}: ${expectedWord(name, known)}`);
}

/**
 * Parses the value of --columns: names with commas in between. After a plus they are added to the usual columns.
 *
 * @throws {UsageError} For an unknown column.
 */
export function parseColumns(text = DEFAULT_COLUMNS, withKeepalive = false): Column[] {
  const listed = text.startsWith("+") ? `${DEFAULT_COLUMNS},${text.slice(1)}` : text;
  const names = (withKeepalive ? `${listed},${KEEPALIVE_COLUMNS}` : listed).split(",");
  return [...new Set(names.map((name) => columnNamed(name, "columns")))];
}

/** Adds the column of the network namespace in front where connections come from several namespaces. */
export function withNetns<C extends HeldConnection>(
  columns: readonly TableColumn<C>[],
  connections: readonly C[],
): readonly TableColumn<C>[] {
  if (!connections.some(({ connection }) => connection.netnsName !== undefined)) return columns;
  return [...new Set<TableColumn<C>>([columnNamed("netns", "columns"), ...columns])];
}

/** The order of a list. */
export interface Order {
  readonly column: Column;
  readonly descending: boolean;
}

/**
 * Parses the value of --sort: a column, after a minus in descending order.
 *
 * @throws {UsageError} For an unknown column.
 */
export function parseOrder(text: string): Order {
  const descending = text.startsWith("-");
  return { column: columnNamed(descending ? text.slice(1) : text, "sort"), descending };
}

/** Sorts connections. Those without a value in the column come last. */
export function sortConnections(
  connections: readonly ListedConnection[],
  { column, descending }: Order,
): ListedConnection[] {
  const sign = descending ? -1 : 1;
  const keyed = connections.map((connection) => ({ connection, key: column.key(connection) }));
  keyed.sort(({ key: a }, { key: b }) => {
    if (a === b) return 0;
    if (a === null) return 1;
    if (b === null) return -1;
    return a < b ? -sign : sign;
  });
  return keyed.map(({ connection }) => connection);
}

/** Lists the columns for the help. */
export function columnsHelp(): string {
  const width = Math.max(...COLUMNS.map(({ name }) => name.length));
  return COLUMNS.map(({ name, help }) => `  ${name.padEnd(width)}  ${help}`).join("\n");
}

/** Writes keepalive values as the time until a dead peer is noticed: `7200s+9*75s`. */
export function keepaliveText({ enabled, idleS, intervalS, count, userTimeoutMs }: Keepalive): string {
  const sum = enabled ? `${idleS}s+${count}*${intervalS}s` : "off";
  return userTimeoutMs ? `${sum},user-timeout:${userTimeoutMs}ms` : sum;
}

/** Sorts by the time until a dead peer is noticed; keepalive that is off comes last. */
function keepaliveKey({ enabled, idleS, intervalS, count }: Keepalive): number {
  return enabled ? idleS + count * intervalS : Infinity;
}

function microsecondsText(us: number): string {
  return `${us / 1000}ms`;
}

/** Sorts by the number of an address and not by its text, IPv4 before IPv6. */
function endpointKey({ address, port }: Endpoint): string {
  const words = parseAddress(address)?.words ?? [];
  return [...words, port].map((word) => word.toString(16).padStart(8, "0")).join("");
}
