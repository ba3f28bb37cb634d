// sock_diag(7): `struct inet_diag_req_v2`, `struct inet_diag_sockid` and `struct inet_diag_msg` of
// <linux/inet_diag.h>. Integers are in host order, ports and addresses in network order.

import { AF_INET, AF_INET6 } from "../../../ffi/socket.ts";
import { type Cookie, formatCookie, type SocketInode } from "../../model/ids.ts";
import type { Words } from "../../model/address.ts";
import { findAttribute, GarbledMessageError, NLATTR_SIZE } from "./message.ts";

/** The older request for TCP: it alone answers for both families at once, and so with one walk over the kernel's table. */
export const TCPDIAG_GETSOCK = 18;
export const SOCK_DIAG_BY_FAMILY = 20;
export const SOCK_DESTROY = 21;

/** Request attributes. */
export const INET_DIAG_REQ_BYTECODE = 1;
/** u32: a protocol beyond the eight bits of `sdiag_protocol`, such as IPPROTO_MPTCP. Linux ≥ 5.9. */
export const INET_DIAG_REQ_PROTOCOL = 3;

// Reply attributes; those up to 8 are asked for by the bit 1 << (attribute − 1) of `idiag_ext`.

/** `struct tcp_info`. */
export const INET_DIAG_INFO = 2;
/** u8: bit 0 RCV_SHUTDOWN, bit 1 SEND_SHUTDOWN. */
export const INET_DIAG_SHUTDOWN = 8;
/** u32, to holders of CAP_NET_ADMIN only. */
export const INET_DIAG_MARK = 15;
/** u64: the inode number of the cgroup v2 directory. Linux ≥ 5.8, unasked. */
export const INET_DIAG_CGROUP_ID = 21;
/** `struct inet_diag_sockopt`, unasked. Linux ≥ 5.10. */
export const INET_DIAG_SOCKOPT = 22;

/** The bit that asks for a reply attribute. */
export function extension(attribute: number): number {
  return 1 << (attribute - 1);
}

/**
 * sizeof(struct inet_diag_req_v2): {u8 family, u8 protocol, u8 ext, u8 pad, u32 states, sockid}, with a struct
 * inet_diag_sockid of 48 bytes: {be16 sport, be16 dport, be32 src[4], be32 dst[4], u32 if, u32 cookie[2]}
 */
const REQ_V2_SIZE = 56;
/**
 * sizeof(struct inet_diag_msg): {u8 family, u8 state, u8 timer, u8 retrans, sockid, u32 expires, u32 rqueue,
 * u32 wqueue, u32 uid, u32 inode}
 */
export const MSG_SIZE = 72;

/** The id of a socket: `struct inet_diag_sockid`, with the family that decides how it is read. */
export interface SockId {
  /** AF_INET or AF_INET6: the socket's own, so AF_INET6 for one with v4-mapped addresses. */
  readonly family: number;
  readonly sport: number;
  readonly dport: number;
  readonly src: Words;
  readonly dst: Words;
  /** The index of the interface that the socket is bound to, 0 for none. */
  readonly interface: number;
  readonly cookie: bigint;
}

function encodeAddress(view: DataView, offset: number, family: number, words: Words): void {
  if (family === AF_INET) view.setUint32(offset, words[3]);
  else words.forEach((word, i) => view.setUint32(offset + 4 * i, word));
}

/** `struct inet_diag_req_v2`. Without `id` it asks for every socket of the family; with it, for that one. */
export function encodeRequest(
  request: { family: number; protocol: number; extensions?: number; states?: number; id?: SockId },
): Uint8Array {
  const bytes = new Uint8Array(REQ_V2_SIZE);
  const view = new DataView(bytes.buffer);
  bytes[0] = request.family;
  bytes[1] = request.protocol & 0xff;
  bytes[2] = request.extensions ?? 0;
  view.setUint32(4, request.states ?? 0xffffffff, true);
  const { id } = request;
  if (id) {
    view.setUint16(8, id.sport);
    view.setUint16(10, id.dport);
    encodeAddress(view, 12, id.family, id.src);
    encodeAddress(view, 28, id.family, id.dst);
    view.setUint32(44, id.interface, true);
    view.setBigUint64(48, id.cookie, true);
  }
  return bytes;
}

/** sizeof(struct inet_diag_req): {u8 family, u8 src_len, u8 dst_len, u8 ext, sockid, u32 states, u32 dbs} */
const REQ_SIZE = 60;

/** `struct inet_diag_req`, the payload of TCPDIAG_GETSOCK. It asks for every TCP socket of both families. */
export function encodeTcpRequest({ extensions, states }: { extensions: number; states: number }): Uint8Array {
  const bytes = new Uint8Array(REQ_SIZE);
  bytes[3] = extensions;
  new DataView(bytes.buffer).setUint32(52, states, true);
  return bytes;
}

/**
 * One `struct inet_diag_msg` and its attributes, read in place. A dump moves a single InetDiagMsg from row to row
 * (`at`), so that a row that does not match costs no object. Addresses read as canonical words: see ../../model/address.ts.
 */
export class InetDiagMsg {
  #view: DataView = new DataView(new ArrayBuffer(0));
  #offset = 0;
  #end = 0;

  /**
   * Moves to the message whose payload is the bytes from `offset` to `end` of `view`.
   *
   * @throws {GarbledMessageError} When the payload is shorter than the struct, or its family is neither AF_INET nor AF_INET6.
   */
  at(view: DataView, offset: number, end: number): this {
    if (end - offset < MSG_SIZE) {
      throw new GarbledMessageError("a sock_diag message is shorter than struct inet_diag_msg");
    }
    const family = view.getUint8(offset);
    if (family !== AF_INET && family !== AF_INET6) {
      throw new GarbledMessageError(`a sock_diag message has family ${family}`);
    }
    this.#view = view;
    this.#offset = offset;
    this.#end = end;
    return this;
  }

  /** AF_INET or AF_INET6. */
  get family(): number {
    return this.#view.getUint8(this.#offset);
  }
  get state(): number {
    return this.#view.getUint8(this.#offset + 1);
  }
  /** 0 none, 1 retransmit, 2 keepalive, 3 TIME-WAIT, 4 zero window probe, 5 delayed ACK. */
  get timer(): number {
    return this.#view.getUint8(this.#offset + 2);
  }
  /** The number of times that the timer has fired in a row. */
  get retransmits(): number {
    return this.#view.getUint8(this.#offset + 3);
  }
  get sport(): number {
    return this.#view.getUint16(this.#offset + 4);
  }
  get dport(): number {
    return this.#view.getUint16(this.#offset + 6);
  }
  /** Word `i` (0 to 3) of the canonical local address. */
  srcWord(i: number): number {
    return this.#word(8, i);
  }
  /** Word `i` (0 to 3) of the canonical remote address. */
  dstWord(i: number): number {
    return this.#word(24, i);
  }
  #word(field: number, i: number): number {
    if (this.family === AF_INET) {
      return i === 3 ? this.#view.getUint32(this.#offset + field) : i === 2 ? 0xffff : 0;
    }
    return this.#view.getUint32(this.#offset + field + 4 * i);
  }
  /** The index of the interface that the socket is bound to (SO_BINDTODEVICE, or a link-local scope), 0 for none. */
  get interface(): number {
    return this.#view.getUint32(this.#offset + 40, true);
  }
  /** SO_COOKIE of the socket, in hexadecimal. */
  get cookie(): Cookie {
    return formatCookie(this.#view.getUint32(this.#offset + 44, true), this.#view.getUint32(this.#offset + 48, true));
  }
  /** Milliseconds until the timer fires. */
  get expires(): number {
    return this.#view.getUint32(this.#offset + 52, true);
  }
  /** Bytes received and not yet read. */
  get rqueue(): number {
    return this.#view.getUint32(this.#offset + 56, true);
  }
  /** Bytes written and not yet acknowledged. */
  get wqueue(): number {
    return this.#view.getUint32(this.#offset + 60, true);
  }
  get uid(): number {
    return this.#view.getUint32(this.#offset + 64, true);
  }
  /** The inode number in sockfs; 0 when no descriptor refers to the socket. */
  get inode(): SocketInode {
    return this.#view.getUint32(this.#offset + 68, true);
  }

  /**
   * Returns the value of a reply attribute, in place; null when the kernel sent none.
   *
   * @param size How many bytes the value has at least.
   * @throws {GarbledMessageError} When the attributes do not fit into the message, or the value is shorter.
   */
  attribute(type: number, size = 0): DataView | null {
    const offset = this.#find(type, size);
    if (offset < 0) return null;
    const length = this.#view.getUint16(offset - NLATTR_SIZE, true) - NLATTR_SIZE;
    return new DataView(this.#view.buffer, this.#view.byteOffset + offset, length);
  }

  /** INET_DIAG_SHUTDOWN: bit 0 set when receiving, bit 1 when sending, has been shut down; 0 when not asked for. */
  get shutdown(): number {
    const offset = this.#find(INET_DIAG_SHUTDOWN, 1);
    return offset < 0 ? 0 : this.#view.getUint8(offset);
  }

  #find(type: number, size: number): number {
    return findAttribute(this.#view, this.#offset + MSG_SIZE, this.#end, type, size);
  }
}
