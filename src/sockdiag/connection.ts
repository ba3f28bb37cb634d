// From `struct inet_diag_msg` to a Connection, and from a Connection back to the id by which the kernel knows it.

import { AF_INET, AF_INET6 } from "../../ffi/libc.ts";
import { formatAddress, ipv4, parseAddress, type Words } from "../address.ts";
import type { Connection, Timer } from "../connection.ts";
import type { InetDiagMsg, SockId } from "../netlink/inet_diag.ts";
import { stateName } from "../netlink/states.ts";

const TIMERS = ["off", "on", "keepalive", "timewait", "persist", "delack"] as const;

function timerOf(row: InetDiagMsg): Timer | null {
  if (row.timer === 0) return null;
  const name = TIMERS[row.timer] ?? "unknown";
  return {
    name: name === "off" ? "unknown" : name,
    expires_ms: row.expires,
    retransmits: row.retransmits,
  };
}

/** Texts of IPv4 addresses: many connections share few of them. Forgotten when there are many, lest they add up. */
const texts = new Map<number, string>();
const MOST_TEXTS = 65_536;

function ipv4Text(word: number): string {
  let text = texts.get(word);
  if (text !== undefined) return text;
  if (texts.size >= MOST_TEXTS) texts.clear();
  texts.set(word, text = formatAddress(ipv4(word)));
  return text;
}

function srcText(row: InetDiagMsg): string {
  if (row.family === AF_INET) return ipv4Text(row.srcWord(3));
  return formatAddress({ words: [row.srcWord(0), row.srcWord(1), row.srcWord(2), row.srcWord(3)] });
}

function dstText(row: InetDiagMsg): string {
  if (row.family === AF_INET) return ipv4Text(row.dstWord(3));
  return formatAddress({ words: [row.dstWord(0), row.dstWord(1), row.dstWord(2), row.dstWord(3)] });
}

/** The connection that a row of a dump describes, with no owners yet. */
export function connectionOf(row: InetDiagMsg, protocol: "tcp" | "mptcp", netns: number): Connection {
  return {
    protocol,
    family: row.family === AF_INET ? "inet" : "inet6",
    state: stateName(row.state),
    src: { address: srcText(row), port: row.sport },
    dst: { address: dstText(row), port: row.dport },
    shutdown: row.shutdown,
    interface: row.interface,
    rqueue: row.rqueue,
    wqueue: row.wqueue,
    inode: row.inode,
    cookie: row.cookie,
    uid: row.uid,
    netns,
    owners: [],
    timer: timerOf(row),
    outcome: null,
    error: null,
  };
}

/** The kernel's id of a connection, cookie included. */
export function sockIdOf(connection: Connection): SockId {
  const words = (text: string): Words => parseAddress(text)!.words;
  return {
    family: connection.family === "inet" ? AF_INET : AF_INET6,
    sport: connection.src.port,
    dport: connection.dst.port,
    src: words(connection.src.address),
    dst: words(connection.dst.address),
    interface: connection.interface,
    cookie: BigInt(`0x${connection.cookie}`),
  };
}
