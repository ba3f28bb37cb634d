// Parts of programs that are attached to control groups: where they keep addresses, what they choose sockets by, and how
// they find the counter of a destination. Nothing here calls the kernel.
//
// In each program R6 is the context, and R7 a field of it that is not 0.

import { BPF_FUNC_get_netns_cookie, BPF_FUNC_map_update_elem } from "../../ffi/bpf.ts";
import { type Assembler, R0, R1, R10, R2, R3, R4, R6, R7 } from "./assembler.ts";
import { lookUp } from "./calls.ts";

/**
 * The stack, from R10 down. An address stands behind the length that a lookup in an LPM trie wants, IPv4 as v4-mapped
 * IPv6.
 */
export const STACK = { counter: -24, peer: -44, local: -68, value: -76, zeros: -104 } as const;

/** A side of the connection: `src` is this host's end. */
export type Side = "src" | "dst";

const ADDRESS: Readonly<Record<Side, number>> = { dst: STACK.peer, src: STACK.local };

/** The third word of an IPv4 address, 0x0000ffff in network order. */
const MAPPED = 0xffff0000;

/** Emits instructions that jump to `yes` or to `no`. */
export type Emit = (program: Assembler, yes: string, no: string) => void;

/** Copies a word of the context to the stack. */
export function copyFromContext(program: Assembler, context: number, stack: number): void {
  program.load(4, R1, R6, context);
  program.store(4, R10, stack, R1);
}

/** Writes the first three words of an IPv4 address to the stack. */
export function storeMapped(program: Assembler, address: number): void {
  program.storeValue(4, R10, address, 0);
  program.storeValue(4, R10, address + 4, 0);
  program.storeValue(4, R10, address + 8, MAPPED);
}

/** Chooses every socket, or none, by a test whose result only the run can know: the verifier refuses unreachable code. */
export function emitAlways(isChosen: boolean): Emit {
  return (program, yes, no) => {
    program.jumpIf(R7, "==", 0, isChosen ? no : yes);
    program.jump(isChosen ? yes : no);
  };
}

/** Chooses sockets with an IPv4 address, a v4-mapped one included. */
export function emitIPv4(side: Side): Emit {
  return (program, yes, no) => {
    for (const [i, word] of [0, 0, MAPPED].entries()) {
      program.load(4, R1, R10, ADDRESS[side] + 4 * i);
      program.jumpIf32(R1, "!=", word, no);
    }
    program.jump(yes);
  };
}

/** Chooses sockets by their address: a BPF_MAP_TYPE_LPM_TRIE of {u32 length; u8 address[16]} holds u32, not 0 for a yes. */
export function emitAddress(side: Side, trie: number): Emit {
  return (program, yes, no) => {
    program.storeValue(4, R10, ADDRESS[side] - 4, 128);
    lookUp(program, trie, ADDRESS[side] - 4);
    program.jumpIf(R0, "==", 0, no);
    program.load(4, R1, R0, 0);
    program.jumpIf(R1, "==", 0, no);
    program.jump(yes);
  };
}

/**
 * Chooses sockets by `from <= port <= to`.
 *
 * @param load Loads the port into R1, in host order.
 */
export function emitPort(load: (program: Assembler) => void, from: number, to: number): Emit {
  return (program, yes, no) => {
    load(program);
    program.jumpIf(R1, "<", from, no);
    program.jumpIf(R1, ">", to, no);
    program.jump(yes);
  };
}

/** Chooses sockets in one of these network namespaces, by their cookies: in connect(2), and since Linux 5.15 in other programs. */
export function emitNetns(cookies: readonly bigint[]): Emit {
  return (program, yes, no) => {
    program.moveRegister(R1, R6);
    program.call(BPF_FUNC_get_netns_cookie);
    for (const cookie of cookies) {
      program.moveWide(R1, cookie);
      program.jumpIfRegister(R0, "==", R1, yes);
    }
    program.jump(no);
  };
}

/** struct {u8 address[16]; u32 port, side}: a destination. */
export const COUNTER_KEY_SIZE = 24;

/** The values of `side`: the destination is the peer of what connects, or the end that accepts. */
export const CONNECTING = 0;
export const ACCEPTED = 1;

/** Begins the key of a counter, whose port follows at `STACK.counter + 16`. */
export function storeDestination(program: Assembler, address: number, side: number): void {
  for (let i = 0; i < 16; i += 4) {
    program.load(4, R1, R10, address + i);
    program.store(4, R10, STACK.counter + i, R1);
  }
  program.storeValue(4, R10, STACK.counter + 20, side);
}

/** bpf_map_update_elem: leaves an entry that another processor has just made. */
const BPF_NOEXIST = 1;

/**
 * Makes R0 point to the counter of the destination whose key is at `STACK.counter`, which is made where there is none.
 *
 * @param size The counter's size, 32 bytes at most.
 * @param none Where to go when there is no counter.
 */
export function findCounter(program: Assembler, counters: number, size: number, none: string): void {
  const known = program.newLabel();
  lookUp(program, counters, STACK.counter);
  program.jumpIf(R0, "!=", 0, known);
  for (let i = 0; i < size; i += 8) program.storeValue(8, R10, STACK.zeros + i, 0);
  program.moveMap(R1, counters);
  program.moveStack(R2, STACK.counter);
  program.moveStack(R3, STACK.zeros);
  program.move(R4, BPF_NOEXIST);
  program.call(BPF_FUNC_map_update_elem);
  lookUp(program, counters, STACK.counter);
  program.jumpIf(R0, "==", 0, none);
  program.label(known);
}
