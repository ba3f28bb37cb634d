// `struct tcp_info` of <linux/tcp.h>, as INET_DIAG_INFO and getsockopt(2) with TCP_INFO give it: the history of a TCP
// connection. All integers are in host order. Later kernels append fields, and only the length shows which fields exist.
// For an MPTCP connection INET_DIAG_INFO is `struct mptcp_info` of <linux/mptcp.h>, which grows in the same way.

import type { TcpInfo } from "../../model/connection.ts";

/** The option of tcp(7) that reads the struct from a descriptor. */
export const TCP_INFO = 11;

/** The size of the struct since Linux 2.6, with tcpi_total_retrans as its last field. */
const OLDEST_SIZE = 104;

/** Decodes the fields that exist; null for fewer bytes than any kernel writes. */
export function decodeTcpInfo(view: DataView): TcpInfo | null {
  if (view.byteLength < OLDEST_SIZE) return null;
  return {
    state: view.getUint8(0),
    retransmits: view.getUint8(2),
    probes: view.getUint8(3),
    backoff: view.getUint8(4),
    rtoUs: view.getUint32(8, true),
    unacked: view.getUint32(24, true),
    lastDataSentMs: view.getUint32(44, true),
    // tcpi_last_ack_sent, at 48, is always 0.
    lastDataRecvMs: view.getUint32(52, true),
    lastAckRecvMs: view.getUint32(56, true),
    rttUs: view.getUint32(68, true),
    totalRetrans: view.getUint32(100, true),
    bytesAcked: u64(view, 120),
    bytesReceived: u64(view, 128),
    notsentBytes: u32(view, 144),
  };
}

function u32(view: DataView, offset: number): number | null {
  return offset + 4 <= view.byteLength ? view.getUint32(offset, true) : null;
}

/** A counter of 64 bits as a number: exact up to 9 PB. */
function u64(view: DataView, offset: number): number | null {
  if (offset + 8 > view.byteLength) return null;
  return view.getUint32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true);
}

/**
 * Returns the milliseconds since data was last sent or received. Acknowledgements and keepalive probes are no data;
 * retransmissions are. The result is valid for connections that have been established.
 */
export function idleTime(info: Pick<TcpInfo, "lastDataSentMs" | "lastDataRecvMs">): number {
  return Math.min(info.lastDataSentMs, info.lastDataRecvMs);
}

/**
 * Returns the milliseconds since anything was heard from the peer: data or an acknowledgement, also one of a keepalive probe.
 * The result is valid for connections that have been established.
 */
export function silentTime(info: Pick<TcpInfo, "lastAckRecvMs" | "lastDataRecvMs">): number {
  return Math.min(info.lastAckRecvMs, info.lastDataRecvMs);
}

/** The times of the last data of an MPTCP connection, over all of its subflows, as in TcpInfo. */
export type MptcpInfo = Pick<TcpInfo, "lastDataSentMs" | "lastDataRecvMs" | "lastAckRecvMs">;

/** The size of the struct with mptcpi_last_ack_recv as its last field: Linux ≥ 6.10. */
const SIZE_WITH_TIMES = 96;

/** Decodes the times; null from a kernel that is too old to have them. */
export function decodeMptcpInfo(view: DataView): MptcpInfo | null {
  if (view.byteLength < SIZE_WITH_TIMES) return null;
  return {
    lastDataSentMs: view.getUint32(84, true),
    lastDataRecvMs: view.getUint32(88, true),
    lastAckRecvMs: view.getUint32(92, true),
  };
}
