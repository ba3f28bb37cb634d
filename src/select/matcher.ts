// Compiles a filter into a function over rows of a dump. The function decides; the kernel's own filter (bytecode.ts) only
// saves rows from being sent.

import {
  INET_DIAG_CGROUP_ID,
  INET_DIAG_INFO,
  INET_DIAG_MARK,
  INET_DIAG_SOCKOPT,
  type InetDiagMsg,
} from "../linux/netlink/inet_diag.ts";
import { decodeMptcpInfo, decodeTcpInfo, idleTime, silentTime } from "../linux/netlink/tcp_info.ts";
import { STATES } from "../model/tcp_states.ts";
import type { Info, TcpInfo } from "../model/connection.ts";
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
    (condition, negated) => {
      const evaluate = evaluator(condition, protocol);
      // What is null equals neither.
      return (row) => evaluate(row) === !negated;
    },
    (op, terms) => {
      // One of them decides: a term that fails of all, or that holds of any.
      const decisive = op === "any";
      return (row) => {
        for (const matches of terms) if (matches(row) === decisive) return decisive;
        return !decisive;
      };
    },
  );
}

/** Returns a function that evaluates a condition for a row: null when the row lacks the property. */
function evaluator(condition: Condition, protocol: Protocol): (row: InetDiagMsg) => boolean | null {
  switch (condition.op) {
    case "address": {
      const set = new PrefixSet(condition.prefixes);
      return condition.side === "src"
        ? (row) => set.has(row.srcWord(0), row.srcWord(1), row.srcWord(2), row.srcWord(3))
        : (row) => set.has(row.dstWord(0), row.dstWord(1), row.dstWord(2), row.dstWord(3));
    }
    case "port": {
      const { from, to } = condition;
      return condition.side === "src"
        ? (row) => row.sport >= from && row.sport <= to
        : (row) => row.dport >= from && row.dport <= to;
    }
    case "interface":
      return (row) => row.interface === condition.index;
    case "mark": {
      const { value, mask } = condition;
      return (row) => {
        const mark = row.attribute(INET_DIAG_MARK, 4);
        return mark && (mark.getUint32(0, true) & mask) >>> 0 === value;
      };
    }
    case "cgroup":
      return (row) => {
        const cgroup = row.attribute(INET_DIAG_CGROUP_ID, 8);
        return cgroup && cgroup.getBigUint64(0, true) === condition.id;
      };
    case "autobound":
      return () => null;
    case "uid":
      return (row) => row.uid === condition.uid;
    case "state":
      return (row) => (condition.mask >>> stateOf(row, protocol) & 1) === 1;
    case "idle":
    case "silent": {
      const time = condition.op === "idle" ? idleTime : silentTime;
      return (row) => {
        const times = timesOf(row, protocol);
        return times && time(times) >= condition.ms;
      };
    }
    case "stalled":
      return (row) => {
        const bytes = protocol === "tcp" ? row.attribute(INET_DIAG_INFO) : null;
        const info = bytes && decodeTcpInfo(bytes);
        return info && isStalled(info, row.wqueue);
      };
    case "transparent":
      return (row) => {
        const options = row.attribute(INET_DIAG_SOCKOPT, 1);
        return options && (options.getUint8(0) & TRANSPARENT) !== 0;
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

/** Returns the times of a connection; null before it is established, when they mean nothing. */
function timesOf(row: InetDiagMsg, protocol: Protocol): Info | null {
  return row.state === STATES["SYN-SENT"] ? null : infoOf(row, protocol);
}

/** Decodes INET_DIAG_INFO; null for a connection without a full socket (TIME-WAIT, SYN-RECV). */
export function infoOf(row: InetDiagMsg, protocol: Protocol): Info | null {
  const info = row.attribute(INET_DIAG_INFO);
  return info && (protocol === "tcp" ? decodeTcpInfo(info) : decodeMptcpInfo(info));
}

/**
 * Whether data waits for the peer's acknowledgement (tcpi_unacked, idiag_wqueue), and was sent again by the retransmission
 * timer (tcpi_retransmits) or, where the peer's window is closed, more than one window probe has not been
 * answered (tcpi_probes). A peer that is slow but alive answers probes, and acknowledgements end retransmission.
 */
function isStalled({ unacked, retransmits, probes }: TcpInfo, wqueue: number): boolean {
  return (unacked > 0 || wqueue > 0) && (retransmits > 0 || probes > 1);
}
