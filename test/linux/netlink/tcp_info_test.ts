// Decoding struct tcp_info and struct mptcp_info, from bytes that Linux 6.18 wrote; a few are changed, so that no two
// fields are equal.

import { assertEquals } from "@std/assert";
import { decodeMptcpInfo, decodeTcpInfo, idleTime, silentTime } from "../../../src/linux/netlink/tcp_info.ts";
import { bytes } from "./bytes.ts";

function view(...lines: string[]): DataView {
  return new DataView(bytes(...lines).buffer);
}

/** 2.1 s after the peer of an established connection went silent, with 1500 bytes on their way to it. */
const SILENT_PEER = view(
  "01 04 02 00 02 07 aa 01  80 73 0c 00 40 9c 00 00", //   0 state ca_state retransmits probes backoff … rto ato
  "a8 05 00 00 18 02 00 00  01 00 00 00 00 00 00 00", //  16 snd_mss rcv_mss unacked sacked
  "01 00 00 00 01 00 00 00  00 00 00 00 ec 02 00 00", //  32 lost retrans fackets last_data_sent
  "00 00 00 00 3c 08 00 00  3d 08 00 00 dc 05 00 00", //  48 last_ack_sent last_data_recv last_ack_recv pmtu
  "58 fa 00 00 3e 00 00 00  1f 00 00 00 ff ff ff 7f", //  64 rcv_ssthresh rtt rttvar snd_ssthresh
  "01 00 00 00 a8 05 00 00  03 00 00 00 00 00 00 00", //  80 snd_cwnd advmss reordering rcv_rtt
  "90 38 00 00 02 00 00 00  cf 6c c8 27 00 00 00 00", //  96 rcv_space total_retrans pacing_rate
  "ff ff ff ff ff ff ff ff  01 00 00 00 02 00 00 00", // 112 max_pacing_rate bytes_acked
  "46 00 00 00 00 00 00 00  0a 00 00 00 02 00 00 00", // 128 bytes_received segs_out segs_in
  "34 00 00 00 3e 00 00 00  01 00 00 00 07 00 00 00", // 144 notsent_bytes min_rtt data_segs_in data_segs_out
);

const DECODED = {
  state: 1,
  retransmits: 2,
  probes: 0,
  backoff: 2,
  rtoUs: 816_000,
  unacked: 1,
  lastDataSentMs: 748,
  lastDataRecvMs: 2108,
  lastAckRecvMs: 2109,
  rttUs: 62,
  totalRetrans: 2,
  bytesAcked: 2 * 2 ** 32 + 1,
  bytesReceived: 70,
  notsentBytes: 52,
};

function firstOf(view: DataView, length: number): DataView {
  return new DataView(view.buffer, 0, length);
}

Deno.test("tcp_info is read field by field", () => {
  assertEquals(decodeTcpInfo(SILENT_PEER), DECODED);
});

Deno.test("tcp_info is read where it lies within other bytes", () => {
  const around = new Uint8Array(200);
  around.set(new Uint8Array(SILENT_PEER.buffer), 7);
  assertEquals(decodeTcpInfo(new DataView(around.buffer, 7, SILENT_PEER.byteLength)), DECODED);
});

Deno.test("tcp_info of an older kernel lacks the fields that it did not have", () => {
  assertEquals(decodeTcpInfo(firstOf(SILENT_PEER, 144)), { ...DECODED, notsentBytes: null });
  assertEquals(decodeTcpInfo(firstOf(SILENT_PEER, 147)), { ...DECODED, notsentBytes: null });
  assertEquals(decodeTcpInfo(firstOf(SILENT_PEER, 135)), { ...DECODED, notsentBytes: null, bytesReceived: null });
  const oldest = { ...DECODED, notsentBytes: null, bytesReceived: null, bytesAcked: null };
  assertEquals(decodeTcpInfo(firstOf(SILENT_PEER, 104)), oldest);
});

Deno.test("tcp_info of a newer kernel may be longer", () => {
  const longer = new Uint8Array(512);
  longer.set(new Uint8Array(SILENT_PEER.buffer));
  assertEquals(decodeTcpInfo(new DataView(longer.buffer)), DECODED);
});

Deno.test("fewer bytes than any tcp_info are none", () => {
  assertEquals(decodeTcpInfo(firstOf(SILENT_PEER, 103)), null);
  assertEquals(decodeTcpInfo(firstOf(SILENT_PEER, 0)), null);
});

Deno.test("a connection is idle since data went either way", () => {
  assertEquals(idleTime(DECODED), 748);
  assertEquals(idleTime({ ...DECODED, lastDataSentMs: 5000 }), 2108);
  assertEquals(silentTime(DECODED), 2108);
  assertEquals(silentTime({ ...DECODED, lastAckRecvMs: 7 }), 7);
});

const MPTCP = view(
  "00 00 00 02 00 00 00 00  02 00 00 00 1a 77 26 1c", //  0 subflows … subflows_max … flags token
  "1d 2b 25 b5 9d 81 6d df  1d 2b 25 b5 9d 81 6d df", // 16 write_seq snd_una
  "a3 0c c7 2f 0b 76 05 3d  00 00 00 00 00 00 00 00", // 32 rcv_nxt local_addr_used … retransmits
  "00 00 00 00 00 00 00 00  2c 01 00 00 00 00 00 00", // 48 bytes_retrans bytes_sent
  "09 00 00 00 00 00 00 00  2c 01 00 00 00 00 00 00", // 64 bytes_received bytes_acked
  "01 00 00 00 90 01 00 00  bc 02 00 00 91 01 00 00", // 80 subflows_total … last_data_sent, _data_recv, _ack_recv
);

Deno.test("mptcp_info says when data went, and is none without that", () => {
  assertEquals(decodeMptcpInfo(MPTCP), { lastDataSentMs: 400, lastDataRecvMs: 700, lastAckRecvMs: 401 });
  assertEquals(decodeMptcpInfo(firstOf(MPTCP, 84)), null);
});

Deno.test("mptcp_info is not taken for tcp_info", () => {
  assertEquals(decodeTcpInfo(MPTCP), null);
});
