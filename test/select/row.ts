// Sockets as a test makes them up, and as the kernel would send them.

import type { Words } from "../../src/model/address.ts";
import {
  INET_DIAG_CGROUP_ID,
  INET_DIAG_INFO,
  INET_DIAG_MARK,
  INET_DIAG_SOCKOPT,
  InetDiagMsg,
  MSG_SIZE,
} from "../../src/linux/netlink/inet_diag.ts";
import { encodeAttribute } from "../../src/linux/netlink/message.ts";

/** A socket, by all that a filter can ask for. */
export interface Socket {
  /** AF_INET or AF_INET6. */
  family: number;
  state: number;
  /** Canonical: of an AF_INET6 socket with v4-mapped addresses too. */
  src: Words;
  dst: Words;
  sport: number;
  dport: number;
  interface: number;
  uid: number;
  /** null where the kernel does not tell. */
  mark: number | null;
  /** null where the kernel does not tell. */
  cgroup: bigint | null;
  /** Bytes that the peer has not acknowledged. */
  wqueue: number;
  /** Of tcp_info, or null where the kernel does not tell. */
  past: Past | null;
  /** IP_TRANSPARENT; null where the kernel does not tell. */
  transparent: boolean | null;
  /** What no row tells: no bind(2) chose the port. */
  autobound: boolean;
}

/** How a connection has been. */
export interface Past {
  unacked: number;
  retransmits: number;
  probes: number;
  /** Milliseconds since data was sent, and since data came. */
  sentMs: number;
  receivedMs: number;
  /** Milliseconds since an acknowledgement came. */
  acknowledgedMs: number;
}

/** sizeof(struct tcp_info) of some kernel; the offsets are those of <linux/tcp.h>. */
function tcpInfo({ unacked, retransmits, probes, sentMs, receivedMs, acknowledgedMs }: Past): Uint8Array {
  const view = new DataView(new ArrayBuffer(240));
  view.setUint8(2, retransmits);
  view.setUint8(3, probes);
  view.setUint32(24, unacked, true);
  view.setUint32(44, sentMs, true);
  view.setUint32(52, receivedMs, true);
  view.setUint32(56, acknowledgedMs, true);
  return new Uint8Array(view.buffer);
}

/** struct mptcp_info, which has nothing of retransmission by the timer. */
function mptcpInfo({ sentMs, receivedMs, acknowledgedMs }: Past): Uint8Array {
  const view = new DataView(new ArrayBuffer(96));
  view.setUint32(84, sentMs, true);
  view.setUint32(88, receivedMs, true);
  view.setUint32(92, acknowledgedMs, true);
  return new Uint8Array(view.buffer);
}

export const AF_INET = 2;
export const AF_INET6 = 10;

/** The row of a dump that describes a socket, be it of TCP or of MPTCP. */
export function rowOf(socket: Socket, protocol: "tcp" | "mptcp" = "tcp"): InetDiagMsg {
  const attributes: Uint8Array[] = [];
  if (socket.mark !== null) {
    attributes.push(encodeAttribute(INET_DIAG_MARK, new Uint8Array(new Uint32Array([socket.mark]).buffer)));
  }
  if (socket.cgroup !== null) {
    attributes.push(encodeAttribute(INET_DIAG_CGROUP_ID, new Uint8Array(new BigUint64Array([socket.cgroup]).buffer)));
  }
  if (socket.past !== null) {
    const info = protocol === "tcp" ? tcpInfo(socket.past) : mptcpInfo(socket.past);
    attributes.push(encodeAttribute(INET_DIAG_INFO, info));
  }
  if (socket.transparent !== null) {
    attributes.push(encodeAttribute(INET_DIAG_SOCKOPT, new Uint8Array([socket.transparent ? 0b100010 : 0b10, 0])));
  }
  // Where a row lies in its buffer must make no difference.
  const start = 16;
  const bytes = new Uint8Array([...new Array(start + MSG_SIZE).fill(0), ...attributes.flatMap((a) => [...a])]);
  const view = new DataView(bytes.buffer);
  const address = (offset: number, words: Words) => {
    if (socket.family === AF_INET) view.setUint32(offset, words[3]);
    else words.forEach((word, i) => view.setUint32(offset + 4 * i, word));
  };
  view.setUint8(start, socket.family);
  view.setUint8(start + 1, socket.state);
  view.setUint16(start + 4, socket.sport);
  view.setUint16(start + 6, socket.dport);
  address(start + 8, socket.src);
  address(start + 24, socket.dst);
  view.setUint32(start + 40, socket.interface, true);
  view.setUint32(start + 60, socket.wqueue, true);
  view.setUint32(start + 64, socket.uid, true);
  return new InetDiagMsg().at(view, start, bytes.length);
}
