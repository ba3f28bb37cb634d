// Calls of the kernel's functions that several programs make. Nothing here calls the kernel.

import { BPF_FUNC_map_lookup_elem, BPF_FUNC_seq_write } from "../../ffi/bpf.ts";
import type { SocketOption } from "../keepalive/socket_options.ts";
import { type Assembler, R1, R2, R3, R4, R5, R6, type Register } from "./assembler.ts";

/** Makes R0 point to the value that a map has for the key at a place of the stack, or 0. */
export function lookUp(program: Assembler, map: number, key: number): void {
  program.moveMap(R1, map);
  program.moveStack(R2, key);
  program.call(BPF_FUNC_map_lookup_elem);
}

/**
 * Calls bpf_getsockopt or bpf_setsockopt, whose result is in R0: 0, or an errno below 0.
 *
 * @param socket The register that has the socket, or a context that stands for it.
 * @param value The place of the option's value on the stack.
 */
export function callSockopt(
  program: Assembler,
  helper: number,
  socket: Register,
  { level, name }: SocketOption,
  value: number,
): void {
  program.moveRegister(R1, socket);
  program.move(R2, level);
  program.move(R3, name);
  program.moveStack(R4, value);
  program.move(R5, 4);
  program.call(helper);
}

/** Makes R1 point to the `struct seq_file` of an iterator, whose context R6 begins with `meta`, which begins with `seq`. */
export function loadSeqFile(program: Assembler): void {
  program.load(8, R1, R6, 0);
  program.load(8, R1, R1, 0);
}

/** Writes a row, which is at a place of the stack, to whoever reads the iterator. */
export function writeRow(program: Assembler, row: number, size: number): void {
  loadSeqFile(program);
  program.moveStack(R2, row);
  program.move(R3, size);
  program.call(BPF_FUNC_seq_write);
}
