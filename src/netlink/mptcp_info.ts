// `struct mptcp_info` of <linux/mptcp.h>: what INET_DIAG_INFO is for an MPTCP connection. All integers are in host order.
// Like tcp_info it grows with the kernel, and its length says how far it got.

/** When data last went over an MPTCP connection, on whichever of its subflows: as in TcpInfo. */
export interface MptcpInfo {
  readonly last_data_sent_ms: number;
  readonly last_data_recv_ms: number;
  readonly last_ack_recv_ms: number;
}

/** Up to and with mptcpi_last_ack_recv: Linux ≥ 6.10. */
const SIZE_WITH_TIMES = 96;

/** Reads the struct; null from a kernel that is too old to say when. */
export function decodeMptcpInfo(view: DataView): MptcpInfo | null {
  if (view.byteLength < SIZE_WITH_TIMES) return null;
  return {
    last_data_sent_ms: view.getUint32(84, true),
    last_data_recv_ms: view.getUint32(88, true),
    last_ack_recv_ms: view.getUint32(92, true),
  };
}
