// Compiles a filter into a function over rows of a dump. The function decides; the kernel's own filter (bytecode.ts) only
// saves rows from being sent.

import {
  INET_DIAG_CGROUP_ID,
  INET_DIAG_INFO,
  INET_DIAG_MARK,
  INET_DIAG_SOCKOPT,
  type InetDiagMsg,
} from "../linux/netlink/inet_diag.ts";
import { decodeMptcpInfo, decodeTcpInfo, idleTime, type MptcpInfo, silentTime } from "../linux/netlink/tcp_info.ts";
import { STATES } from "../model/tcp_states.ts";
import type { TcpInfo } from "../model/connection.ts";
import { type Condition, type Filter, fold } from "./filter.ts";
import { PrefixSet } from "./prefix_set.ts";

/** Decides whether a row is selected. */
export type Matcher = (row: InetDiagMsg) => boolean;

/** The protocol of a row. INET_DIAG_INFO of an MPTCP connection is another struct. */
export type Protocol = "tcp" | "mptcp";

/**
 * Returns a function that decides whether `filter` matches a row.
 *
 * Neither a condition nor its negation matches a property that the row lacks, so that no connection is cut for what is not
 * known of it. Rows may lack marks without CAP_NET_ADMIN, marks, cgroups and tcp_info of sockets that are not full ones
 * (TIME-WAIT and SYN-RECV), `autobound` always, and for MPTCP connections whether they are stalled.
 */
export function compileMatcher(filter: Filter, protocol: Protocol = "tcp"): Matcher {
  return fold<Matcher>(
    filter,
    (condition, negated) => matchCondition(condition, negated, protocol),
    (op, terms) => op === "all" ? matchAll(terms) : matchAny(terms),
  );
}

function matchAll(terms: readonly Matcher[]): Matcher {
  const [first, second] = terms;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  if (terms.length === 2) return (row) => first(row) && second(row);
  return (row) => {
    for (let i = 0; i < terms.length; i++) {
      if (!terms[i]!(row)) return false;
    }
    return true;
  };
}

function matchAny(terms: readonly Matcher[]): Matcher {
  const [first, second] = terms;
  if (first === undefined) return () => false;
  if (second === undefined) return first;
  if (terms.length === 2) return (row) => first(row) || second(row);
  return (row) => {
    for (let i = 0; i < terms.length; i++) {
      if (terms[i]!(row)) return true;
    }
    return false;
  };
}

function matchCondition(condition: Condition, negated: boolean, protocol: Protocol): Matcher {
  switch (condition.op) {
    case "address": {
      const set = new PrefixSet(condition.prefixes);
      return condition.side === "src"
        ? (row) => set.has(row.srcWord(0), row.srcWord(1), row.srcWord(2), row.srcWord(3)) !== negated
        : (row) => set.has(row.dstWord(0), row.dstWord(1), row.dstWord(2), row.dstWord(3)) !== negated;
    }
    case "port": {
      const { from, to } = condition;
      return condition.side === "src"
        ? (row) => (row.sport >= from && row.sport <= to) !== negated
        : (row) => (row.dport >= from && row.dport <= to) !== negated;
    }
    case "interface":
      return (row) => (row.interface === condition.index) !== negated;
    case "mark": {
      const { value, mask } = condition;
      return (row) => {
        const mark = row.attribute(INET_DIAG_MARK, 4);
        return mark !== null && ((mark.getUint32(0, true) & mask) >>> 0 === value) !== negated;
      };
    }
    case "cgroup":
      return (row) => {
        const cgroup = row.attribute(INET_DIAG_CGROUP_ID, 8);
        return cgroup !== null && (cgroup.getBigUint64(0, true) === condition.id) !== negated;
      };
    case "autobound":
      return () => false;
    case "uid":
      return (row) => (row.uid === condition.uid) !== negated;
    case "state":
      return (row) => ((condition.mask >>> stateOf(row, protocol) & 1) === 1) !== negated;
    case "idle":
      return (row) => {
        const times = timesOf(row, protocol);
        return times !== null && (idleTime(times) >= condition.ms) !== negated;
      };
    case "silent":
      return (row) => {
        const times = timesOf(row, protocol);
        return times !== null && (silentTime(times) >= condition.ms) !== negated;
      };
    case "stalled":
      return (row) => {
        const info = protocol === "tcp" ? tcpInfoOf(row) : null;
        return info !== null && isStalled(info, row.wqueue) !== negated;
      };
    case "transparent":
      return (row) => {
        const options = row.attribute(INET_DIAG_SOCKOPT, 1);
        return options !== null && ((options.getUint8(0) & TRANSPARENT) !== 0) !== negated;
      };
  }
}

/** The bit of `struct inet_diag_sockopt`: {recverr, is_icsk, freebind, hdrincl, mc_loop, transparent, …}, a bit each. */
const TRANSPARENT = 1 << 5;

/**
 * Returns the state that the dump asked for. The kernel gives the state CLOSE to a TCP socket that is bound, and neither
 * listens nor connects. Since Linux 6.8 it lists such sockets for BOUND_INACTIVE, and no other closed ones.
 */
function stateOf(row: InetDiagMsg, protocol: Protocol): number {
  return protocol === "tcp" && row.state === STATES["UNCONN"] ? STATES["BOUND-INACTIVE"] : row.state;
}

function tcpInfoOf(row: InetDiagMsg): TcpInfo | null {
  const info = row.attribute(INET_DIAG_INFO);
  return info && decodeTcpInfo(info);
}

/** Returns the times of a connection; null before it is established, when they mean nothing. */
function timesOf(row: InetDiagMsg, protocol: Protocol): MptcpInfo | null {
  if (row.state === STATES["SYN-SENT"]) return null;
  const info = row.attribute(INET_DIAG_INFO);
  return info && (protocol === "tcp" ? decodeTcpInfo(info) : decodeMptcpInfo(info));
}

/**
 * Whether data waits for the peer's acknowledgement (tcpi_unacked, idiag_wqueue), and was sent again by the retransmission
 * timer (tcpi_retransmits) or, where the peer's window is closed, more than one window probe has not been
 * answered (tcpi_probes). A peer that is slow but alive answers probes, and acknowledgements end retransmission.
 */
export function isStalled({ unacked, retransmits, probes }: TcpInfo, wqueue: number): boolean {
  return (unacked > 0 || wqueue > 0) && (retransmits > 0 || probes > 1);
}
