// The program that reads and sets options of many TCP sockets, run by the kernel's iterator over the sockets of a network
// namespace, bpf_iter_tcp, and what it is given and gives. The kernel holds the lock of each socket while the program runs, so
// that a socket which is found by its cookie and its ends is that socket until the program is done with it. Nothing here calls
// the kernel.

import {
  BPF_FUNC_get_socket_cookie,
  BPF_FUNC_getsockopt,
  BPF_FUNC_setsockopt,
  BPF_FUNC_skc_to_tcp_sock,
} from "../../ffi/bpf.ts";
import { AF_INET, AF_INET6 } from "../../ffi/socket.ts";
import type { SockId } from "../linux/netlink/inet_diag.ts";
import { UnsupportedError } from "../model/errors.ts";
import type { SocketOption, Step } from "../keepalive/socket_options.ts";
import { Assembler, R0, R1, R10, R2, R3, R6, R7, R8, R9 } from "./assembler.ts";
import { callSockopt, loadSeqFile, lookUp, writeRow } from "./calls.ts";
import type { KernelTypes } from "./kernel_types.ts";

/** The work of a pass: what it reads, and what it sets. */
export interface Pass {
  readonly reads: readonly SocketOption[];
  /** What is set, in that order; null to read alone. */
  readonly steps: readonly Step[] | null;
  /** An option, of those that are read, which keeps the socket from being touched where it is not 0. */
  readonly unless?: SocketOption;
  /** An option, of those that are read, which is not set where it is not 0. */
  readonly spares?: SocketOption;
}

/** What a pass found. Where it found the same of several sockets, it is the same object. */
export interface FoundSocket {
  /** `unread` when an option cannot be read, so that nothing was set; `same` when there was nothing to set. */
  readonly status: "unread" | "same" | "set";
  /** The values of the options that are read, in their order, before and after. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** The results of the steps: 0, or an errno below 0. */
  readonly results: readonly number[];
}

/** The offset of `sk_common` in `struct bpf_iter__tcp`. */
const SOCKET = 8;
/** What `struct sock_common` begins with, whose names stand in structs without a name. */
const COMMON = { peer: 0, local: 4, ports: 12, family: 16 } as const;

/** The values of the map: struct {u32 family; u16 dport (network order), sport; u8 peer[16], local[16]; u32 place, unused}. */
const VALUE = { family: 0, ports: 4, peer: 8, local: 24, place: 40 } as const;
export const WANTED_SIZE = 48;

/** The rows: struct {u32 place, status; s32 before[], after[], results[]}. The place is that among the wanted sockets. */
const ROW = { place: 0, status: 4, values: 8 } as const;
const STATUSES = ["unread", "same", "set"] as const;
const STATUS = { same: 1, set: 2 } as const;

/** The place of a cookie, and then of a value to set, below the row on the stack. */
const COOKIE = -8;

/** The offsets in a row. */
interface Layout {
  readonly before: number;
  readonly after: number;
  readonly results: number;
  readonly size: number;
}

function layOut({ reads, steps }: Pass): Layout {
  const before = ROW.values;
  const after = before + 4 * reads.length;
  const results = after + 4 * reads.length;
  const end = results + 4 * (steps?.length ?? 0);
  return { before, after, results, size: Math.ceil(end / 8) * 8 };
}

/**
 * Compiles the program to an array of `struct bpf_insn`.
 *
 * @param map The descriptor of the hash map of wanted sockets, by cookie.
 * @throws {UnsupportedError} When the program cannot know sockets.
 */
export function compileTcpIterator(pass: Pass, map: number, types: Pick<KernelTypes, "offset">): Uint8Array {
  if (types.offset("sock_common.skc_family") !== COMMON.family) {
    throw new UnsupportedError("This kernel's sockets do not begin as others' do");
  }
  const layout = layOut(pass);
  const row = -layout.size;
  const program = new Assembler();
  program.moveRegister(R6, R1);
  program.load(8, R7, R6, SOCKET);
  program.jumpIf(R7, "==", 0, "out");
  // Neither a request for a connection nor what is left of one is a whole socket.
  program.moveRegister(R1, R7);
  program.call(BPF_FUNC_skc_to_tcp_sock);
  program.jumpIf(R0, "==", 0, "out");
  program.moveRegister(R8, R0);
  for (let i = 0; i < layout.size; i += 8) program.storeValue(8, R10, row + i, 0);
  program.moveRegister(R1, R8);
  program.call(BPF_FUNC_get_socket_cookie);
  program.store(8, R10, row + COOKIE, R0);
  lookUp(program, map, row + COOKIE);
  program.jumpIf(R0, "==", 0, "out");
  program.moveRegister(R9, R0);
  compareEnds(program, types);
  program.load(4, R1, R9, VALUE.place);
  program.store(4, R10, row + ROW.place, R1);
  readAll(program, pass, row + layout.before, "write");
  program.storeValue(4, R10, row + ROW.status, STATUS.same);
  if (pass.steps !== null) {
    requireRoom(program, layout, types);
    emitSteps(program, pass, pass.steps, layout, row);
  }
  program.label("write");
  writeRow(program, row, layout.size);
  program.label("out");
  program.move(R0, 0);
  program.exit();
  return program.assemble();
}

/** Leaves out a socket that has other ends by now. R7 is the socket, R9 what the map has for its cookie. */
function compareEnds(program: Assembler, { offset }: Pick<KernelTypes, "offset">): void {
  const compare = (size: 2 | 4 | 8, socket: number, value: number) => {
    program.load(size, R1, R7, socket);
    // The family is two bytes there, and four here.
    program.load(size === 2 ? 4 : size, R2, R9, value);
    program.jumpIfRegister(R1, "!=", R2, "out");
  };
  compare(2, offset("sock_common.skc_family"), VALUE.family);
  compare(4, COMMON.ports, VALUE.ports);
  program.load(4, R2, R9, VALUE.family);
  program.jumpIf(R2, "==", AF_INET6, "ipv6");
  compare(4, COMMON.peer, VALUE.peer);
  compare(4, COMMON.local, VALUE.local);
  program.jump("compared");
  program.label("ipv6");
  for (const i of [0, 8]) {
    compare(8, offset("sock_common.skc_v6_daddr") + i, VALUE.peer + i);
    compare(8, offset("sock_common.skc_v6_rcv_saddr") + i, VALUE.local + i);
  }
  program.label("compared");
}

/**
 * Has nothing set when the row does not fit into what the kernel returns at once: the kernel drops the row then, and runs the
 * program for this socket again.
 */
function requireRoom(program: Assembler, { size }: Layout, { offset }: Pick<KernelTypes, "offset">): void {
  loadSeqFile(program);
  program.load(8, R2, R1, offset("seq_file.count"));
  program.load(8, R3, R1, offset("seq_file.size"));
  program.add(R2, size);
  program.jumpIfRegister(R2, ">=", R3, "write");
}

/** Reads options into the row. Jumps when one cannot be read. */
function readAll(program: Assembler, { reads }: Pass, place: number, otherwise: string): void {
  reads.forEach((option, i) => {
    callSockopt(program, BPF_FUNC_getsockopt, R8, option, place + 4 * i);
    program.jumpIf32(R0, "!=", 0, otherwise);
  });
}

/** Sets what is not as wanted, and reads that again. Nobody else can change the rest meanwhile. */
function emitSteps(program: Assembler, pass: Pass, steps: readonly Step[], layout: Layout, row: number): void {
  const placeOf = (option: SocketOption) => row + layout.before + 4 * indexOf(pass, option);
  if (pass.unless !== undefined) {
    program.load(4, R1, R10, placeOf(pass.unless));
    program.jumpIf(R1, "!=", 0, "write");
  }
  // R9 gets a bit for each step that is to be done.
  program.move(R9, 0);
  steps.forEach((step, i) => {
    const next = program.newLabel();
    program.load(4, R1, R10, placeOf(step));
    if (pass.spares !== undefined && isSame(step, pass.spares)) program.jumpIf(R1, "!=", 0, next);
    program.jumpIf32(R1, "==", step.value, next);
    program.or(R9, 1 << i);
    program.label(next);
  });
  program.jumpIf(R9, "==", 0, "write");
  program.storeValue(4, R10, row + ROW.status, STATUS.set);
  const value = row + COOKIE;
  steps.forEach((step, i) => {
    const [set, next] = [program.newLabel(), program.newLabel()];
    program.jumpIf(R9, "&", 1 << i, set);
    program.jump(next);
    program.label(set);
    program.storeValue(4, R10, value, step.value);
    callSockopt(program, BPF_FUNC_setsockopt, R8, step, value);
    program.store(4, R10, row + layout.results + 4 * i, R0);
    program.label(next);
  });
  pass.reads.forEach((option, i) => {
    const after = row + layout.after + 4 * i;
    const step = steps.findIndex((one) => isSame(one, option));
    const [read, next] = [program.newLabel(), program.newLabel()];
    if (step !== -1) program.jumpIf(R9, "&", 1 << step, read);
    program.load(4, R1, R10, row + layout.before + 4 * i);
    program.store(4, R10, after, R1);
    if (step === -1) return;
    program.jump(next);
    program.label(read);
    callSockopt(program, BPF_FUNC_getsockopt, R8, option, after);
    program.jumpIf32(R0, "!=", 0, "write");
    program.label(next);
  });
}

function indexOf({ reads }: Pass, option: SocketOption): number {
  return reads.findIndex((read) => isSame(read, option));
}

function isSame(a: SocketOption, b: SocketOption): boolean {
  return a.level === b.level && a.name === b.name;
}

/** Decodes a row, but for the place. */
export function decodeFoundSocket(row: DataView, pass: Pass): FoundSocket {
  const layout = layOut(pass);
  const { length } = pass.reads;
  const status = STATUSES[row.getUint32(ROW.status, true)] ?? "unread";
  const before = numbersAt(row, layout.before, length);
  return {
    status,
    before,
    after: status === "set" ? numbersAt(row, layout.after, length) : before,
    results: numbersAt(row, layout.results, pass.steps?.length ?? 0),
  };
}

/** The findings that are remembered. Most sockets have the same. */
const MOST_REMEMBERED = 16;

/** Decodes rows. Those that differ in nothing but the place are decoded once. */
export class RowDecoder {
  readonly rowSize: number;
  readonly #pass: Pass;
  readonly #known: { readonly words: readonly number[]; readonly found: FoundSocket }[] = [];

  constructor(pass: Pass) {
    this.#pass = pass;
    this.rowSize = layOut(pass).size;
  }

  /** Returns the place of the row's socket among those that are wanted. */
  place(row: DataView): number {
    return row.getUint32(ROW.place, true);
  }

  decode(row: DataView): FoundSocket {
    for (const { words, found } of this.#known) if (isRow(row, words)) return found;
    const found = decodeFoundSocket(row, this.#pass);
    const words = numbersAt(row, ROW.status, (row.byteLength - ROW.status) / 4);
    if (this.#known.length === MOST_REMEMBERED) this.#known.shift();
    this.#known.push({ words, found });
    return found;
  }
}

function isRow(row: DataView, words: readonly number[]): boolean {
  for (let i = 0; i < words.length; i++) if (row.getInt32(ROW.status + 4 * i, true) !== words[i]) return false;
  return true;
}

function numbersAt(row: DataView, at: number, count: number): number[] {
  const numbers: number[] = [];
  for (let i = 0; i < count; i++) numbers.push(row.getInt32(at + 4 * i, true));
  return numbers;
}

/** Encodes a socket as the map has it: addresses in network order, those of IPv4 in 4 bytes. */
export function encodeWantedSocket(
  { family, src, dst, sport, dport }: SockId,
  place: number,
  view: DataView,
  at = 0,
): void {
  view.setUint32(at + VALUE.family, family, true);
  view.setUint16(at + VALUE.ports, dport);
  view.setUint16(at + VALUE.ports + 2, sport, true);
  view.setUint32(at + VALUE.place, place, true);
  // An IPv4 address is the last word.
  const first = family === AF_INET ? 3 : 0;
  for (let i = first; i < 4; i++) {
    view.setUint32(at + VALUE.peer + 4 * (i - first), dst[i]!);
    view.setUint32(at + VALUE.local + 4 * (i - first), src[i]!);
  }
}
