// The programs that refuse connect(2), or have it go elsewhere: BPF_PROG_TYPE_CGROUP_SOCK_ADDR, which the kernel runs for the
// sockets of a control group, one for each family of sockets. Nothing here calls the kernel.
//
// Several programs may run for one call, those of the innermost control group first and, in one control group, in the order
// in which they were attached. Each sees the destination that those before it have left. One that refuses is enough.

import {
  BPF_CGROUP_INET4_CONNECT,
  BPF_CGROUP_INET6_CONNECT,
  BPF_FUNC_get_current_uid_gid,
  BPF_FUNC_ktime_get_boot_ns,
  BPF_FUNC_set_retval,
  BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
  type ProgramOptions,
} from "../../ffi/bpf.ts";
import { ECONNREFUSED } from "../../ffi/errno.ts";
import { AF_INET, IPPROTO_TCP, SOCK_STREAM } from "../../ffi/socket.ts";
import type { Words } from "../model/address.ts";
import { Assembler, R0, R1, R10, R6, R7, R8 } from "./assembler.ts";
import { lookUp } from "./calls.ts";
import {
  CONNECTING,
  copyFromContext,
  type Emit,
  emitIPv4,
  emitPort,
  findCounter,
  STACK,
  storeDestination,
  storeMapped,
} from "./conditions.ts";

/** Offsets in `struct bpf_sock_addr`. The address and the port are in network order, the port in the lower half. */
const CONTEXT = { userFamily: 0, userIPv4: 4, userIPv6: 8, userPort: 24, type: 32, protocol: 36 } as const;

/** struct {u64 count, last}: a number of calls, and the time of the last one in nanoseconds on CLOCK_BOOTTIME. */
export const CONNECT_COUNTER_SIZE = 16;
const COUNTER = { count: 0, last: 8 } as const;

/** An address, and a port where that is another one too. */
export interface Endpoint {
  readonly words: Words;
  readonly port: number | null;
}

/** What becomes of a call. */
export type Fate =
  /** It fails with this errno; with EPERM where the kernel cannot be told one, for null. */
  | { readonly op: "refuse"; readonly errno: number | null }
  /** It goes to an address of the same family, v4-mapped ones being IPv4. Null where no call of that family is chosen. */
  | { readonly op: "redirect"; readonly ipv4: Endpoint | null; readonly ipv6: Endpoint | null };

/** The program to make. */
export interface SockAddrOptions {
  /** The family of the sockets: AF_INET or AF_INET6. */
  readonly family: number;
  readonly fate: Fate;
  /** Decides about a call. */
  readonly chooses: Emit;
  /** The descriptor of the map of counters. */
  readonly counters: number;
  /** The descriptor of a map with one u32: while that is 0, the program does nothing. */
  readonly armed: number;
}

/** Returns such a program, as the kernel is given it. */
export function sockAddrProgram(family: number, instructions: Uint8Array): ProgramOptions {
  const attachType = family === AF_INET ? BPF_CGROUP_INET4_CONNECT : BPF_CGROUP_INET6_CONNECT;
  return { type: BPF_PROG_TYPE_CGROUP_SOCK_ADDR, attachType, name: "tcphup_connect", instructions };
}

/** Compiles the program to an array of `struct bpf_insn`. */
export function compileSockAddr({ family, fate, chooses, counters, armed }: SockAddrOptions): Uint8Array {
  const program = new Assembler();
  program.moveRegister(R6, R1);
  program.load(4, R7, R6, CONTEXT.type);
  program.jumpIf(R7, "!=", SOCK_STREAM, "out");
  program.load(4, R1, R6, CONTEXT.protocol);
  program.jumpIf(R1, "!=", IPPROTO_TCP, "out");
  program.load(4, R1, R6, CONTEXT.userFamily);
  program.jumpIf(R1, "!=", family, "out");
  requireArmed(program, armed);
  loadDestination(program, family);
  chooses(program, "chosen", "out");
  program.label("chosen");
  count(program, counters);
  program.label("counted");
  if (fate.op === "refuse") refuse(program, fate.errno);
  else redirect(program, family, fate.ipv4, fate.ipv6);
  program.label("out");
  program.move(R0, 1);
  program.exit();
  return program.assemble();
}

/** Compiles a program that a kernel takes when it can be told an errno. */
export function compileSetRetval(): Uint8Array {
  const program = new Assembler();
  refuse(program, ECONNREFUSED);
  return program.assemble();
}

function requireArmed(program: Assembler, armed: number): void {
  program.storeValue(4, R10, STACK.counter, 0);
  lookUp(program, armed, STACK.counter);
  program.jumpIf(R0, "==", 0, "out");
  program.load(4, R1, R0, 0);
  program.jumpIf(R1, "==", 0, "out");
}

/** Writes the destination to the stack. To the kernel the unspecified address means loopback. */
function loadDestination(program: Assembler, family: number): void {
  if (family === AF_INET) {
    storeMapped(program, STACK.peer);
    copyFromContext(program, CONTEXT.userIPv4, STACK.peer + 12);
  } else {
    for (let i = 0; i < 16; i += 4) copyFromContext(program, CONTEXT.userIPv6 + i, STACK.peer + i);
  }
  const specified = program.newLabel();
  program.load(4, R1, R10, STACK.peer + 12);
  program.jumpIf(R1, "!=", 0, specified);
  const ipv6 = program.newLabel();
  const ipv4 = program.newLabel();
  emitIPv4("dst")(program, ipv4, ipv6);
  program.label(ipv4);
  program.storeValue(4, R10, STACK.peer + 12, LOOPBACK_IPV4);
  program.jump(specified);
  program.label(ipv6);
  for (let i = 0; i < 12; i += 4) {
    program.load(4, R1, R10, STACK.peer + i);
    program.jumpIf(R1, "!=", 0, specified);
  }
  program.storeValue(4, R10, STACK.peer + 12, networkOrder(1));
  program.label(specified);
}

/** Counts the call, at the destination that it names. */
function count(program: Assembler, counters: number): void {
  storeDestination(program, STACK.peer, CONNECTING);
  loadPort(program);
  program.store(4, R10, STACK.counter + 16, R1);
  findCounter(program, counters, CONNECT_COUNTER_SIZE, "counted");
  program.move(R1, 1);
  program.atomicAdd(R0, COUNTER.count, R1);
  program.moveRegister(R8, R0);
  program.call(BPF_FUNC_ktime_get_boot_ns);
  program.store(8, R8, COUNTER.last, R0);
}

function refuse(program: Assembler, errno: number | null): void {
  if (errno !== null) {
    program.move(R1, -errno);
    program.call(BPF_FUNC_set_retval);
  }
  program.move(R0, 0);
  program.exit();
}

function redirect(program: Assembler, family: number, ipv4: Endpoint | null, ipv6: Endpoint | null): void {
  if (family === AF_INET) {
    if (ipv4 !== null) redirectTo(program, CONTEXT.userIPv4, [ipv4.words[3]], ipv4.port);
    return;
  }
  const other = program.newLabel();
  const mapped = program.newLabel();
  emitIPv4("dst")(program, mapped, other);
  program.label(mapped);
  if (ipv4 !== null) redirectTo(program, CONTEXT.userIPv6, ipv4.words, ipv4.port);
  program.jump("out");
  program.label(other);
  if (ipv6 !== null) redirectTo(program, CONTEXT.userIPv6, ipv6.words, ipv6.port);
}

function redirectTo(program: Assembler, offset: number, words: readonly number[], port: number | null): void {
  for (const [i, word] of words.entries()) {
    program.move(R1, networkOrder(word));
    program.store(4, R6, offset + 4 * i, R1);
  }
  if (port === null) return;
  program.move(R1, networkOrder(port) >>> 16);
  program.store(4, R6, CONTEXT.userPort, R1);
}

/** Returns the number that a processor, which is little endian, has for a word in network order. */
function networkOrder(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}

const LOOPBACK_IPV4 = networkOrder(0x7f000001);

function loadPort(program: Assembler): void {
  program.load(4, R1, R6, CONTEXT.userPort);
  program.swap32(R1);
  program.shiftRight(R1, 16);
}

/** Chooses calls by `from <= port <= to`. */
export function emitCalledPort(from: number, to: number): Emit {
  return emitPort(loadPort, from, to);
}

/** Chooses calls by the user who makes them. */
export function emitCaller(uid: number): Emit {
  return (program, yes, no) => {
    program.call(BPF_FUNC_get_current_uid_gid);
    program.jumpIf32(R0, "==", uid, yes);
    program.jump(no);
  };
}
