// The program that sets options of TCP sockets as they connect, as they begin to listen and as they are accepted:
// BPF_PROG_TYPE_SOCK_OPS, which the kernel runs for the sockets of a control group. Nothing here calls the kernel.
//
// Several programs may run for one socket, those of the innermost control group first and, in one control group, in the
// order in which they were attached. They get the same context, in which `reply` means nothing for these operations. So
// each program that decides about a socket leaves its rank there, and a program of a lower rank then keeps off.

import {
  BPF_CGROUP_SOCK_OPS,
  BPF_FUNC_getsockopt,
  BPF_FUNC_setsockopt,
  BPF_FUNC_skc_to_tcp_sock,
  BPF_PROG_TYPE_SOCK_OPS,
  type ProgramOptions,
} from "../../ffi/bpf.ts";
import { AF_INET, AF_INET6, IPPROTO_TCP, TCP_USER_TIMEOUT } from "../../ffi/socket.ts";
import { KEEPALIVE_SWITCH, type SocketOption, type Step } from "../keepalive/socket_options.ts";
import { Assembler, R0, R1, R10, R2, R6, R7, R8, R9 } from "./assembler.ts";
import { callSockopt } from "./calls.ts";
import {
  ACCEPTED,
  CONNECTING,
  copyFromContext,
  type Emit,
  emitPort,
  findCounter,
  type Side,
  STACK,
  storeDestination,
  storeMapped,
} from "./conditions.ts";

/** Offsets in `struct bpf_sock_ops`. Addresses are in network order, like `remote_port`; `local_port` is in host order. */
const CONTEXT = {
  op: 0,
  reply: 4,
  family: 20,
  remoteIPv4: 24,
  localIPv4: 28,
  remoteIPv6: 32,
  localIPv6: 48,
  remotePort: 64,
  localPort: 68,
  sk: 184,
} as const;

/** The operations: a socket is about to send its SYN; one has been made for a connection that arrived; one begins to listen. */
const BPF_SOCK_OPS_TCP_CONNECT_CB = 3;
const BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5;
const BPF_SOCK_OPS_TCP_LISTEN_CB = 11;

/** `reply`: a mark of tcphup, what the application has chosen, and a rank. */
const MARK = 0x7c000000;
const MARK_MASK = 0x7f000000;
/** The application has SO_KEEPALIVE on, and is let have its way. */
const KEEPALIVE_IS_ITS_OWN = 0x800000;
/** The application has a TCP_USER_TIMEOUT, which stays. */
const TIMEOUT_IS_ITS_OWN = 0x400000;
const OWN_MASK = KEEPALIVE_IS_ITS_OWN | TIMEOUT_IS_ITS_OWN;
const RANK_MASK = 0xffff;
/** The bits of a rank below those of the depth. */
const DEPTH_SHIFT = 9;
/** The deepest control group that counts, as deep as any further down. */
const MAX_DEPTH = RANK_MASK >> DEPTH_SHIFT;

/** Returns the lowest rank of programs on a control group at that depth, 0 for the root. The 9 bits below are 0. */
export function rankOfDepth(depth: number): number {
  return Math.min(depth, MAX_DEPTH) << DEPTH_SHIFT;
}

/** struct {u64 set, kept, refused}: numbers of connections. */
export const COUNTER_SIZE = 24;
const COUNTER = { set: 0, kept: 8, refused: 16 } as const;
/** The program to make. */
export interface SockOpsOptions {
  /** The options to set on sockets that connect, that listen, and that are accepted; null leaves these alone. */
  readonly connecting: readonly Step[] | null;
  readonly listening?: readonly Step[] | null;
  readonly accepted: readonly Step[] | null;
  /** Leaves SO_KEEPALIVE that is on, with its values, and a TCP_USER_TIMEOUT that is set. */
  readonly onlyMissing: boolean;
  /** A program does nothing when one of a higher rank has decided about the socket. Ranks have 16 bits. */
  readonly rank: number;
  /** Decides about a socket. */
  readonly chooses: Emit;
  /** Whether `chooses` goes by addresses. */
  readonly goesByAddress: boolean;
  /** The descriptor of the map of counters; null to count nothing, which saves a fifth of the time. */
  readonly counters: number | null;
}

/** Returns such a program, as the kernel is given it. */
export function sockOpsProgram(instructions: Uint8Array): ProgramOptions {
  return { type: BPF_PROG_TYPE_SOCK_OPS, attachType: BPF_CGROUP_SOCK_OPS, name: "tcphup_keepaliv", instructions };
}

/** Compiles the program to an array of `struct bpf_insn`. */
export function compileSockOps(options: SockOpsOptions): Uint8Array {
  const program = new Assembler();
  const { connecting, listening = null, accepted, chooses, counters } = options;
  const operations = [
    [BPF_SOCK_OPS_TCP_CONNECT_CB, connecting],
    [BPF_SOCK_OPS_TCP_LISTEN_CB, listening],
    [BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, accepted],
  ] as const;
  const [done, kept] = counters === null ? ["out", "out"] : ["count", "kept"];
  program.moveRegister(R6, R1);
  program.load(4, R7, R6, CONTEXT.op);
  for (const [operation, steps] of operations) if (steps) program.jumpIf(R7, "==", operation, "begin");
  program.label("out");
  program.move(R0, 1);
  program.exit();
  program.label("begin");
  if (options.goesByAddress || counters !== null) loadAddresses(program);
  chooses(program, "chosen", "out");
  program.label("chosen");
  claim(program, options);
  program.move(R8, COUNTER.set);
  if (options.onlyMissing) program.jumpIf(R9, "&", KEEPALIVE_IS_ITS_OWN, kept);
  for (const [operation, steps] of operations) {
    if (!steps) continue;
    const next = program.newLabel();
    program.jumpIf(R7, "!=", operation, next);
    setOptions(program, steps, options);
    program.jump(done);
    program.label(next);
  }
  // No other operation comes here, which the verifier does not know.
  program.jump("out");
  if (counters !== null) {
    if (options.onlyMissing) {
      program.label("kept");
      program.move(R8, COUNTER.kept);
    }
    program.label("count");
    count(program, counters);
    program.jump("out");
  }
  return program.assemble();
}

/** Writes both addresses to the stack. Sockets of other families are let through. */
function loadAddresses(program: Assembler): void {
  program.load(4, R1, R6, CONTEXT.family);
  program.jumpIf(R1, "==", AF_INET, "ipv4");
  program.jumpIf(R1, "!=", AF_INET6, "out");
  for (let i = 0; i < 16; i += 4) {
    copyFromContext(program, CONTEXT.remoteIPv6 + i, STACK.peer + i);
    copyFromContext(program, CONTEXT.localIPv6 + i, STACK.local + i);
  }
  program.jump("addresses");
  program.label("ipv4");
  for (const [address, context] of [[STACK.peer, CONTEXT.remoteIPv4], [STACK.local, CONTEXT.localIPv4]] as const) {
    storeMapped(program, address);
    copyFromContext(program, context, address + 12);
  }
  program.label("addresses");
}

/** Lets a program of a higher rank have its way, and leaves this one's rank otherwise. R9 is what the application chose. */
function claim(program: Assembler, { onlyMissing, rank }: SockOpsOptions): void {
  program.move(R9, 0);
  program.load(4, R1, R6, CONTEXT.reply);
  program.moveRegister(R2, R1);
  program.and(R2, MARK_MASK);
  program.jumpIf(R2, "!=", MARK, "first");
  program.moveRegister(R9, R1);
  program.and(R9, OWN_MASK);
  program.and(R1, RANK_MASK);
  program.jumpIf(R1, ">", rank, "out");
  // What stands on the socket now is perhaps an earlier program's, so that its finding counts.
  program.jump("claim");
  program.label("first");
  if (onlyMissing) {
    noteOwn(program, KEEPALIVE_SWITCH, KEEPALIVE_IS_ITS_OWN);
    noteOwn(program, USER_TIMEOUT, TIMEOUT_IS_ITS_OWN);
  }
  program.label("claim");
  program.move(R1, MARK | rank);
  program.orRegister(R1, R9);
  program.store(4, R6, CONTEXT.reply, R1);
}

const USER_TIMEOUT: SocketOption = { option: "TCP_USER_TIMEOUT", level: IPPROTO_TCP, name: TCP_USER_TIMEOUT };

/** Sets a bit of R9 when an option is not 0. An option that cannot be read counts as the application's. */
function noteOwn(program: Assembler, option: SocketOption, bit: number): void {
  const [own, done] = [program.newLabel(), program.newLabel()];
  program.storeValue(4, R10, STACK.value, 0);
  callSockopt(program, BPF_FUNC_getsockopt, R6, option, STACK.value);
  program.jumpIf32(R0, "!=", 0, own);
  program.load(4, R1, R10, STACK.value);
  program.jumpIf(R1, "==", 0, done);
  program.label(own);
  program.or(R9, bit);
  program.label(done);
}

/** Sets options, all of them also where the kernel refuses one; R8 becomes the counter of refusals then. */
function setOptions(program: Assembler, steps: readonly Step[], { onlyMissing }: SockOpsOptions): void {
  for (const step of steps) {
    const next = program.newLabel();
    if (onlyMissing && step.level === USER_TIMEOUT.level && step.name === USER_TIMEOUT.name) {
      program.jumpIf(R9, "&", TIMEOUT_IS_ITS_OWN, next);
    }
    program.storeValue(4, R10, STACK.value, step.value);
    callSockopt(program, BPF_FUNC_setsockopt, R6, step, STACK.value);
    program.jumpIf32(R0, "==", 0, next);
    program.move(R8, COUNTER.refused);
    program.label(next);
  }
}

/** Adds 1 to the counter of the destination at the offset that R8 has. */
function count(program: Assembler, counters: number): void {
  const isAccepted = program.newLabel();
  const find = program.newLabel();
  program.jumpIf(R7, "==", BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, isAccepted);
  storeDestination(program, STACK.peer, CONNECTING);
  loadPort("dst")(program);
  program.jump(find);
  program.label(isAccepted);
  storeDestination(program, STACK.local, ACCEPTED);
  loadPort("src")(program);
  program.label(find);
  program.store(4, R10, STACK.counter + 16, R1);
  findCounter(program, counters, COUNTER_SIZE, "out");
  program.move(R1, 1);
  // The verifier wants to know each offset.
  const [kept, refused] = [program.newLabel(), program.newLabel()];
  program.jumpIf(R8, "==", COUNTER.kept, kept);
  program.jumpIf(R8, "==", COUNTER.refused, refused);
  program.atomicAdd(R0, COUNTER.set, R1);
  program.jump("out");
  program.label(kept);
  program.atomicAdd(R0, COUNTER.kept, R1);
  program.jump("out");
  program.label(refused);
  program.atomicAdd(R0, COUNTER.refused, R1);
}

function loadPort(side: Side): (program: Assembler) => void {
  return (program) => {
    program.load(4, R1, R6, side === "dst" ? CONTEXT.remotePort : CONTEXT.localPort);
    if (side === "dst") program.swap32(R1);
  };
}

/** Chooses sockets by `from <= port <= to`. */
export function emitSocketPort(side: Side, from: number, to: number): Emit {
  return emitPort(loadPort(side), from, to);
}

/**
 * Chooses sockets by the user who opened them, or who opened the listener that accepted them.
 *
 * @param offset The place of `sk_uid` in `struct sock`, with which `struct tcp_sock` begins.
 */
export function emitSocketUser(uid: number, offset: number): Emit {
  return (program, yes, no) => {
    program.load(8, R1, R6, CONTEXT.sk);
    program.jumpIf(R1, "==", 0, no);
    program.call(BPF_FUNC_skc_to_tcp_sock);
    program.jumpIf(R0, "==", 0, no);
    program.load(4, R1, R0, offset);
    program.jumpIf32(R1, "==", uid, yes);
    program.jump(no);
  };
}
