// Targets as rows of bytes, for the journal. A row is numbers of 32 bits; texts, which many rows share, stand once behind the
// rows, as does what few targets have. The layout is that of this program alone: only its own processes read it.

import type { Connection, Endpoint, Owner, Timer } from "../model/connection.ts";
import { formatCookie } from "../model/ids.ts";
import { type Target, targetOf } from "../model/result.ts";
import { stateName, STATES } from "../model/tcp_states.ts";

/** The numbers of a row. */
const ROW = {
  /** Bit 0: MPTCP; bit 1: IPv6; from bit 8 on the state, from bit 16 on the directions that have been shut down. */
  kind: 0,
  src: 1,
  dst: 2,
  /** The local port below the peer's. */
  ports: 3,
  interface: 4,
  rqueue: 5,
  wqueue: 6,
  inode: 7,
  cookieLow: 8,
  cookieHigh: 9,
  uid: 10,
  netns: 11,
  /** The text of the namespace's name, plus 1; 0 without a name. */
  netnsName: 12,
  /** The text of the timer's name, plus 1; 0 without a timer. */
  timer: 13,
  expires: 14,
  retransmits: 15,
  /** The first owner; 0 without one. */
  pid: 16,
  fd: 17,
  comm: 18,
  /** The index in `more`, plus 1; 0 where the numbers say all. */
  more: 19,
} as const;
const NUMBERS = 20;

/** The targets that are encoded together. */
export const ROWS_AT_ONCE = 1024;

/** The fields of a connection that have no number in a row. */
type Rare = Pick<Connection, "subflowOf" | "tcpInfo" | "silentMs">;

/** What the numbers of a row do not say. */
interface More {
  readonly connection: Rare;
  readonly target: Partial<Target>;
}

interface Tail {
  readonly texts: readonly string[];
  readonly more: readonly More[];
}

const numbers = new Uint32Array(ROWS_AT_ONCE * NUMBERS);
const numberBytes = new Uint8Array(numbers.buffer);

/** Encodes `ROWS_AT_ONCE` targets at most. The pieces are valid until the next call. */
export function encodeRows(targets: readonly Target[]): Uint8Array[] {
  const texts: string[] = [];
  const indices = new Map<string, number>();
  const more: More[] = [];
  const indexOf = (text: string): number => {
    let index = indices.get(text);
    if (index === undefined) indices.set(text, index = texts.push(text) - 1);
    return index;
  };
  let at = 0;
  for (const target of targets) {
    encodeConnection(target.connection, at, indexOf);
    const [owner] = target.owners;
    numbers[at + ROW.pid] = owner?.pid ?? 0;
    numbers[at + ROW.fd] = owner?.fd ?? 0;
    numbers[at + ROW.comm] = owner === undefined ? 0 : indexOf(owner.comm);
    const rest = moreOf(target);
    numbers[at + ROW.more] = rest === null ? 0 : more.push(rest);
    at += NUMBERS;
  }
  const tail: Tail = { texts, more };
  return [Uint32Array.of(targets.length), numberBytes.subarray(0, 4 * at), encoder.encode(JSON.stringify(tail))]
    .map((piece) => new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength));
}

const encoder = new TextEncoder();

function encodeConnection(connection: Connection, at: number, indexOf: (text: string) => number): void {
  const { protocol, family, state, src, dst, cookie, netnsName, timer } = connection;
  const low = cookie.length > 8 ? cookie.length - 8 : 0;
  numbers[at + ROW.kind] = (protocol === "mptcp" ? 1 : 0) | (family === "inet6" ? 2 : 0) | STATES[state] << 8 |
    connection.shutdown << 16;
  numbers[at + ROW.src] = indexOf(src.address);
  numbers[at + ROW.dst] = indexOf(dst.address);
  numbers[at + ROW.ports] = src.port | dst.port << 16;
  numbers[at + ROW.interface] = connection.interface;
  numbers[at + ROW.rqueue] = connection.rqueue;
  numbers[at + ROW.wqueue] = connection.wqueue;
  numbers[at + ROW.inode] = connection.inode;
  numbers[at + ROW.cookieLow] = parseInt(low === 0 ? cookie : cookie.slice(low), 16);
  numbers[at + ROW.cookieHigh] = low === 0 ? 0 : parseInt(cookie.slice(0, low), 16);
  numbers[at + ROW.uid] = connection.uid;
  numbers[at + ROW.netns] = connection.netns;
  numbers[at + ROW.netnsName] = netnsName === undefined ? 0 : indexOf(netnsName) + 1;
  numbers[at + ROW.timer] = timer === null ? 0 : indexOf(timer.name) + 1;
  numbers[at + ROW.expires] = timer?.expiresMs ?? 0;
  numbers[at + ROW.retransmits] = timer?.retransmits ?? 0;
}

/** Returns what the numbers of a target's row do not say; null when they say all. */
function moreOf({ connection, owners, ownersLeftOut, result, trouble, ownerAttempts }: Target): More | null {
  const { subflowOf, tcpInfo, silentMs } = connection;
  const areOwnersNumbers = owners.length < 2 && owners[0]?.tid === undefined;
  const isPlain = areOwnersNumbers && subflowOf === undefined && tcpInfo === undefined && silentMs === undefined &&
    ownersLeftOut === undefined && result === null && trouble === null && ownerAttempts === 0;
  if (isPlain) return null;
  const target = { ownersLeftOut, result, trouble, ownerAttempts, ...(areOwnersNumbers ? {} : { owners }) };
  return { connection: { subflowOf, tcpInfo, silentMs }, target };
}

/** Decodes what `encodeRows` has encoded. */
export function decodeRows(bytes: Uint8Array): Target[] {
  const count = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const end = 4 + 4 * NUMBERS * count;
  const rows = new Uint32Array(bytes.slice(4, end).buffer);
  const { texts, more }: Tail = JSON.parse(new TextDecoder().decode(bytes.subarray(end)));
  return Array.from({ length: count }, (_, row) => decodeRow(rows.subarray(row * NUMBERS), texts, more));
}

function decodeRow(row: Uint32Array, texts: readonly string[], more: readonly More[]): Target {
  const number = (field: keyof typeof ROW) => row[ROW[field]]!;
  const endpoint = (text: number, port: number): Endpoint => ({ address: texts[text]!, port });
  const rest = more[number("more") - 1];
  const connection: Connection = {
    protocol: number("kind") & 1 ? "mptcp" : "tcp",
    family: number("kind") & 2 ? "inet6" : "inet",
    state: stateName(number("kind") >>> 8 & 0xff),
    src: endpoint(number("src"), number("ports") & 0xffff),
    dst: endpoint(number("dst"), number("ports") >>> 16),
    shutdown: number("kind") >>> 16,
    interface: number("interface"),
    rqueue: number("rqueue"),
    wqueue: number("wqueue"),
    inode: number("inode"),
    cookie: formatCookie(number("cookieLow"), number("cookieHigh")),
    uid: number("uid"),
    netns: number("netns"),
    timer: number("timer") === 0 ? null : {
      name: texts[number("timer") - 1] as Timer["name"],
      expiresMs: number("expires"),
      retransmits: number("retransmits"),
    },
    ...(number("netnsName") === 0 ? {} : { netnsName: texts[number("netnsName") - 1] }),
    ...rest?.connection,
  };
  const owner: Owner = { pid: number("pid"), fd: number("fd"), comm: texts[number("comm")]! };
  return { ...targetOf(connection), owners: owner.pid === 0 ? [] : [owner], ...rest?.target };
}
