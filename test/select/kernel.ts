// What the kernel does with INET_DIAG_REQ_BYTECODE: inet_diag_bc_audit() and inet_diag_bc_run() of
// net/ipv4/inet_diag.c, restated for tests.

import { AF_INET, AF_INET6, type Socket } from "./row.ts";

const [NOP, JMP, S_GE, S_LE, D_GE, D_LE, AUTO, S_COND, D_COND, DEV, MARK, S_EQ, D_EQ, CGROUP] = Array(14).keys();

interface Op {
  code: number;
  yes: number;
  no: number;
  /** What follows the operation. */
  operand: DataView;
}

function opAt(code: Uint8Array, offset: number): Op {
  const view = new DataView(code.buffer, code.byteOffset + offset, code.length - offset);
  const operand = new DataView(view.buffer, view.byteOffset + 4, view.byteLength - 4);
  return { code: view.getUint8(0), yes: view.getUint8(1), no: view.getUint16(2, true), operand };
}

/** Why the kernel refuses the code; null when it takes it. */
export function audit(code: Uint8Array): string | null {
  if (code.length < 4) return "too short";
  let offset = 0;
  while (offset < code.length) {
    const left = code.length - offset;
    if (left < 4) return `${offset}: cut off`;
    const op = opAt(code, offset);
    const size = sizeOf(op, left);
    if (size === null || size > left) return `${offset}: operation ${op.code} is malformed`;
    if (op.code !== NOP) {
      if (op.no < size || op.no > left + 4 || op.no % 4 !== 0) return `${offset}: no = ${op.no}`;
      if (op.no < left && !isOnChain(code, offset + op.no)) return `${offset}: nothing leads to ${offset + op.no}`;
    }
    if (op.yes < size || op.yes > left + 4 || op.yes % 4 !== 0) return `${offset}: yes = ${op.yes}`;
    offset += op.yes;
  }
  return offset === code.length ? null : "ends after its end";
}

function sizeOf(op: Op, left: number): number | null {
  switch (op.code) {
    case NOP:
    case JMP:
    case AUTO:
      return 4;
    case S_GE:
    case S_LE:
    case D_GE:
    case D_LE:
    case S_EQ:
    case D_EQ:
    case DEV:
      return 8;
    case MARK:
    case CGROUP:
      return 12;
    case S_COND:
    case D_COND: {
      if (left < 12) return null;
      const family = op.operand.getUint8(0);
      const length = family === 0 ? 0 : family === AF_INET ? 4 : family === AF_INET6 ? 16 : null;
      if (length === null || op.operand.getUint8(1) > 8 * length) return null;
      return 12 + length;
    }
    default:
      return null;
  }
}

/** Whether the jumps by `yes` from the start come by this offset. */
function isOnChain(code: Uint8Array, target: number): boolean {
  let offset = 0;
  while (offset < target) {
    const { yes } = opAt(code, offset);
    if (yes < 4 || yes % 4 !== 0) return false;
    offset += yes;
  }
  return offset === target;
}

/** Whether the code accepts the socket. */
export function run(code: Uint8Array, socket: Socket): boolean {
  let offset = 0;
  while (offset < code.length) {
    const op = opAt(code, offset);
    offset += holds(op, socket) ? op.yes : op.no;
  }
  return offset === code.length;
}

function holds({ code, operand }: Op, socket: Socket): boolean {
  const port = () => operand.getUint16(2, true);
  switch (code) {
    case JMP:
      return false;
    case S_GE:
      return socket.sport >= port();
    case S_LE:
      return socket.sport <= port();
    case S_EQ:
      return socket.sport === port();
    case D_GE:
      return socket.dport >= port();
    case D_LE:
      return socket.dport <= port();
    case D_EQ:
      return socket.dport === port();
    case AUTO:
      return socket.autobound;
    case S_COND:
    case D_COND:
      return hostHolds(operand, socket, code === S_COND ? "src" : "dst");
    case DEV:
      return socket.interface === operand.getUint32(0, true);
    case MARK:
      return (((socket.mark ?? 0) & operand.getUint32(4, true)) >>> 0) === operand.getUint32(0, true);
    case CGROUP:
      return (socket.cgroup ?? 0n) === operand.getBigUint64(0, true);
    default:
      return true;
  }
}

function hostHolds(cond: DataView, socket: Socket, side: "src" | "dst"): boolean {
  const family = cond.getUint8(0);
  const length = cond.getUint8(1);
  const port = cond.getInt32(4, true);
  if (port !== -1 && port !== (side === "src" ? socket.sport : socket.dport)) return false;
  const words = socket[side];
  const mapped = words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
  const address = socket.family === AF_INET ? words.slice(3) : words;
  if (family !== 0 && family !== socket.family) {
    return socket.family === AF_INET6 && family === AF_INET && mapped && bitsAgree(words.slice(3), cond, length);
  }
  return length === 0 || bitsAgree(address, cond, length);
}

function bitsAgree(words: readonly number[], cond: DataView, length: number): boolean {
  const bits = (word: number) => word.toString(2).padStart(32, "0");
  const address = words.map(bits).join("");
  const prefix = words.map((_, i) => bits(cond.getUint32(8 + 4 * i))).join("");
  return address.slice(0, length) === prefix.slice(0, length);
}
