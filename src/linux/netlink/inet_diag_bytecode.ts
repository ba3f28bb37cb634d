// The bytecode of INET_DIAG_REQ_BYTECODE: `struct inet_diag_bc_op` and its operands in <linux/inet_diag.h>, which the
// kernel runs on each socket of a dump. Operands are in host order, addresses in network order.
//
// An operation that holds continues `yes` bytes further on, one that does not `no` bytes. Who arrives exactly at the
// end is accepted; the way to be rejected is a jump to four bytes after the end. The kernel takes only code whose
// `no` targets lie on the chain of `yes` jumps, so here `yes` is always an operation's own length: the chain then
// visits every operation.

import { AF_INET, AF_INET6 } from "../../../ffi/socket.ts";
import { isIPv4, type Prefix } from "../../model/address.ts";

export const INET_DIAG_BC_JMP = 1;
export const INET_DIAG_BC_S_GE = 2;
export const INET_DIAG_BC_S_LE = 3;
export const INET_DIAG_BC_D_GE = 4;
export const INET_DIAG_BC_D_LE = 5;
/** No bind(2) chose the local port: SOCK_BINDPORT_LOCK is not set. So it also holds for accepted sockets. */
export const INET_DIAG_BC_AUTO = 6;
export const INET_DIAG_BC_S_COND = 7;
export const INET_DIAG_BC_D_COND = 8;
export const INET_DIAG_BC_DEV_COND = 9;
/** EPERM without CAP_NET_ADMIN. */
export const INET_DIAG_BC_MARK_COND = 10;
/** Linux ≥ 4.17. */
export const INET_DIAG_BC_S_EQ = 11;
export const INET_DIAG_BC_D_EQ = 12;
/** Linux ≥ 5.8. EINVAL without CONFIG_SOCK_CGROUP_DATA. */
export const INET_DIAG_BC_CGROUP_COND = 13;

/** sizeof(struct inet_diag_bc_op): {u8 code, u8 yes, u16 no} */
const BC_OP_SIZE = 4;
/** Where to jump to for the socket to be rejected, in bytes before the end of the code. */
export const REJECT = -4;

/** sizeof(struct inet_diag_hostcond) without its address: {u8 family, u8 prefix_len, s32 port} */
const HOSTCOND_SIZE = 8;
const ANY_PORT = -1;

function encodeOp(code: number, operandSize = 0): { op: Uint8Array; view: DataView } {
  const op = new Uint8Array(BC_OP_SIZE + operandSize);
  op[0] = code;
  op[1] = op.length;
  return { op, view: new DataView(op.buffer) };
}

/** Says how many bytes after its own start an operation continues when it does not hold. */
export function setNo(op: Uint8Array, distance: number): void {
  new DataView(op.buffer, op.byteOffset).setUint16(2, distance, true);
}

/** An operation that never holds: a jump by `no`. */
export function encodeJump(): Uint8Array {
  return encodeOp(INET_DIAG_BC_JMP).op;
}

/** `code` is S_GE, S_LE, S_EQ or one of their D_ counterparts. The port sits in the `no` of a second operation. */
export function encodePortCondition(code: number, port: number): Uint8Array {
  const { op, view } = encodeOp(code, BC_OP_SIZE);
  view.setUint16(BC_OP_SIZE + 2, port, true);
  return op;
}

/**
 * `code` is S_COND or D_COND. An IPv4 prefix also holds for the v4-mapped addresses of AF_INET6 sockets. An IPv6
 * prefix holds for AF_INET6 sockets only, but for their v4-mapped addresses too where its bits agree with those.
 */
export function encodeHostCondition(code: number, prefix: Prefix): Uint8Array {
  // A mapped prefix shorter than 96 bits cannot be IPv4, and parsing has cleared the bits that would look so.
  const v4 = isIPv4(prefix) && prefix.length >= 96;
  const words = v4 ? prefix.words.slice(3) : prefix.words;
  const { op, view } = encodeOp(code, HOSTCOND_SIZE + 4 * words.length);
  view.setUint8(4, v4 ? AF_INET : AF_INET6);
  view.setUint8(5, v4 ? prefix.length - 96 : prefix.length);
  view.setInt32(8, ANY_PORT, true);
  words.forEach((word, i) => view.setUint32(12 + 4 * i, word));
  return op;
}

/** The socket is bound to the interface with this index, 0 for none. */
export function encodeDeviceCondition(index: number): Uint8Array {
  const { op, view } = encodeOp(INET_DIAG_BC_DEV_COND, 4);
  view.setUint32(4, index, true);
  return op;
}

/** `struct inet_diag_markcond`: `(mark of the socket & mask) === mark`. */
export function encodeMarkCondition(mark: number, mask: number): Uint8Array {
  const { op, view } = encodeOp(INET_DIAG_BC_MARK_COND, 8);
  view.setUint32(4, mark, true);
  view.setUint32(8, mask, true);
  return op;
}

/** The socket was created in the cgroup v2 directory with this inode number, and not further below. */
export function encodeCgroupCondition(id: bigint): Uint8Array {
  const { op, view } = encodeOp(INET_DIAG_BC_CGROUP_COND, 8);
  view.setBigUint64(4, id, true);
  return op;
}

export function encodeAutoCondition(): Uint8Array {
  return encodeOp(INET_DIAG_BC_AUTO).op;
}
