// Finds the holders of sockets with the kernel's iterator over the descriptors of all tasks, bpf_iter_task_file: in one pass,
// without a look into /proc. The kernel leaves out threads that share the table of their process, and tasks that the pid
// namespace of the caller does not have. The program leaves out the files that are not asked for.

import { withTracked } from "../../ffi/closing.ts";
import {
  BPF_FUNC_get_current_task,
  BPF_FUNC_probe_read_kernel,
  BPF_MAP_TYPE_HASH,
  mapCreate,
  mapUpdateBatch,
} from "../../ffi/bpf.ts";
import type { ForeignFd, SocketInode } from "../model/ids.ts";
import { Assembler, R0, R1, R10, R2, R3, R6, R7, R8, R9, type Register } from "./assembler.ts";
import { lookUp, writeRow } from "./calls.ts";
import { loadIterator, readRows } from "./iterator.ts";
import { type KernelTypes, kernelTypes } from "./kernel_types.ts";

/** A descriptor of a socket. */
export interface SocketFile {
  readonly pid: number;
  /** The thread that has a table of its own; null for the table of the process. */
  readonly tid: number | null;
  readonly fd: ForeignFd;
  readonly inode: SocketInode;
  readonly comm: string;
}

/** The sockets to look for: those with these inodes, or those that these processes hold. */
export type SocketFilter = "inode" | "pid";

/** Offsets in `struct bpf_iter__task_file`, whose members are aligned to 8 bytes. */
const CONTEXT = { task: 8, fd: 16, file: 24 } as const;
/** The magic number of the file system of sockets. */
const SOCKFS_MAGIC = 0x534f434b;
/** struct upid {int nr; struct pid_namespace *ns}: a task's number in one of its pid namespaces. */
const UPID_SHIFT = 4;
const MAX_LEVEL = 32;

/** The rows: struct {u32 pid, tid, fd, inode; char comm[16]}. */
const ROW = { pid: 0, tid: 4, fd: 8, inode: 12, comm: 16 } as const;
const COMM_SIZE = 16;
export const ROW_SIZE = ROW.comm + COMM_SIZE;

/** The stack, from R10 down. */
const STACK = { row: -ROW_SIZE, scratch: -ROW_SIZE - 8 } as const;

/**
 * Compiles the program to an array of `struct bpf_insn`.
 *
 * @param map The descriptor of the hash map whose keys, of 4 bytes, are looked for.
 */
export function compileTaskFile(by: SocketFilter, map: number, types: Pick<KernelTypes, "offset">): Uint8Array {
  const program = new Assembler();
  const { offset } = types;
  program.moveRegister(R6, R1);
  program.load(8, R7, R6, CONTEXT.task);
  program.jumpIf(R7, "==", 0, "out");
  program.load(8, R8, R6, CONTEXT.file);
  program.jumpIf(R8, "==", 0, "out");
  program.load(8, R8, R8, offset("file.f_inode"));
  program.load(8, R1, R8, offset("inode.i_sb"));
  program.load(8, R1, R1, offset("super_block.s_magic"));
  program.jumpIf(R1, "!=", SOCKFS_MAGIC, "out");
  program.load(8, R1, R8, offset("inode.i_ino"));
  program.store(4, R10, STACK.row + ROW.inode, R1);
  if (by === "inode") requireKey(program, map, ROW.inode);
  loadPlace(program, types);
  program.load(8, R8, R7, offset("task_struct.group_leader"));
  loadNumber(program, types, R8, ROW.pid);
  program.jumpIf(R1, "==", 0, "out");
  if (by === "pid") requireKey(program, map, ROW.pid);
  program.storeValue(4, R10, STACK.row + ROW.tid, 0);
  program.load(4, R1, R7, offset("task_struct.pid"));
  program.load(4, R2, R7, offset("task_struct.tgid"));
  program.jumpIfRegister(R1, "==", R2, "leads");
  loadNumber(program, types, R7, ROW.tid);
  program.jumpIf(R1, "==", 0, "out");
  program.label("leads");
  for (let i = 0; i < COMM_SIZE; i += 8) {
    program.load(8, R1, R8, offset("task_struct.comm") + i);
    program.store(8, R10, STACK.row + ROW.comm + i, R1);
  }
  program.load(4, R1, R6, CONTEXT.fd);
  program.store(4, R10, STACK.row + ROW.fd, R1);
  writeRow(program, STACK.row, ROW_SIZE);
  program.label("out");
  program.move(R0, 0);
  program.exit();
  return program.assemble();
}

/** Leaves the file out unless the map has the key, a field of the row. */
function requireKey(program: Assembler, map: number, field: number): void {
  lookUp(program, map, STACK.row + field);
  program.jumpIf(R0, "==", 0, "out");
}

/** Sets R9 to the place, in `struct pid`, of a task's number in the pid namespace of this process. */
function loadPlace(program: Assembler, { offset }: Pick<KernelTypes, "offset">): void {
  program.call(BPF_FUNC_get_current_task);
  program.moveRegister(R3, R0);
  program.add(R3, offset("task_struct.thread_pid"));
  readKernel(program, 8);
  program.load(8, R3, R10, STACK.scratch);
  program.add(R3, offset("pid.level"));
  readKernel(program, 4);
  program.load(4, R9, R10, STACK.scratch);
  program.jumpIf(R9, ">", MAX_LEVEL, "out");
  program.shiftLeft(R9, UPID_SHIFT);
  program.add(R9, offset("pid.numbers"));
}

/** Writes the number of a task, which is in a register, to the row, and to R1. */
function loadNumber(
  program: Assembler,
  { offset }: Pick<KernelTypes, "offset">,
  task: Register,
  field: number,
): void {
  program.moveRegister(R3, task);
  program.add(R3, offset("task_struct.thread_pid"));
  readKernel(program, 8);
  program.load(8, R3, R10, STACK.scratch);
  program.addRegister(R3, R9);
  readKernel(program, 4);
  program.load(4, R1, R10, STACK.scratch);
  program.store(4, R10, STACK.row + field, R1);
}

/** Reads memory of the kernel at R3. A task that is ending has no number any more. */
function readKernel(program: Assembler, size: number): void {
  program.moveStack(R1, STACK.scratch);
  program.move(R2, size);
  program.call(BPF_FUNC_probe_read_kernel);
  program.jumpIf(R0, "!=", 0, "out");
}

const decoder = new TextDecoder();

/** Decodes a row. The row before it may be one of the same process, which saves the text. */
export function decodeSocketFile(row: DataView, before?: SocketFile): SocketFile {
  const pid = row.getUint32(ROW.pid, true);
  const tid = row.getUint32(ROW.tid, true);
  return {
    pid,
    tid: tid === 0 ? null : tid,
    fd: row.getUint32(ROW.fd, true),
    inode: row.getUint32(ROW.inode, true),
    comm: before?.pid === pid ? before.comm : decodeComm(row),
  };
}

function decodeComm(row: DataView): string {
  const comm = new Uint8Array(row.buffer, row.byteOffset + ROW.comm, COMM_SIZE);
  return decoder.decode(comm.subarray(0, comm.indexOf(0)));
}

/**
 * Returns the descriptors of sockets with these inodes, or of these processes, in the order of the kernel: that of the
 * numbers of processes and threads. Needs CAP_BPF and CAP_PERFMON.
 *
 * @throws {UnsupportedError} When the kernel does not tell its types.
 * @throws {SyscallError} When the kernel refuses a call.
 * @throws {VerifierError} When the kernel refuses the program.
 */
export function findSocketFiles(by: SocketFilter, keys: readonly number[]): SocketFile[] {
  return withTracked((track) => {
    // Without the rights this fails, before the kernel's types are read.
    const map = track(mapCreate({
      type: BPF_MAP_TYPE_HASH,
      name: "tcphup_wanted",
      keySize: 4,
      valueSize: 1,
      maxEntries: Math.max(1, keys.length),
    }));
    const words = Uint32Array.from(keys);
    if (keys.length > 0) mapUpdateBatch(map, new Uint8Array(words.buffer), new Uint8Array(keys.length), keys.length);
    const program = track(loadIterator("bpf_iter_task_file", compileTaskFile(by, map.number, kernelTypes())));
    const found: SocketFile[] = [];
    readRows(program, ROW_SIZE, (row) => found.push(decodeSocketFile(row, found.at(-1))));
    return found;
  });
}
