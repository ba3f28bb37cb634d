// The program that the kernel's iterator over descriptors runs, on a machine of the tests' own: what it tells, and of what.

import { assertEquals } from "@std/assert";
import {
  BPF_FUNC_get_current_task,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_probe_read_kernel,
  BPF_FUNC_seq_write,
} from "../../ffi/bpf.ts";
import {
  compileTaskFile,
  decodeSocketFile,
  ROW_SIZE,
  type SocketFile,
  type SocketFilter,
} from "../../src/bpf/task_file.ts";
import { Memory, runProgram } from "./machine.ts";

/** The members of each struct, 16 bytes apart. */
const STRUCTS: Readonly<Record<string, readonly string[]>> = {
  task_struct: ["thread_pid", "comm", "pid", "tgid", "group_leader"],
  pid: ["level", "numbers"],
  file: ["other", "f_inode"],
  inode: ["i_ino", "i_sb"],
  super_block: ["other", "s_magic"],
};

const types = {
  offset(member: string): number {
    const [struct = "", name = ""] = member.split(".");
    return 16 * STRUCTS[struct]!.indexOf(name);
  },
};

const SOCKFS_MAGIC = 0x534f434bn;
const MAP = 7;

/** Memory of a kernel. */
class Kernel {
  readonly memory = new Memory();

  /** Adds a struct with these members. Returns its address. */
  add(struct: string, members: Readonly<Record<string, bigint>>): bigint {
    const address = this.memory.add(new Uint8Array(128));
    for (const [name, value] of Object.entries(members)) {
      this.memory.store(address + BigInt(types.offset(`${struct}.${name}`)), 8, value);
    }
    return address;
  }

  /** Adds a task with its number in each pid namespace that it is in. */
  task(numbers: readonly number[], leader?: bigint, name = "x"): bigint {
    const pid = this.add("pid", { level: BigInt(numbers.length - 1) });
    numbers.forEach((number, i) =>
      this.memory.store(pid + BigInt(types.offset("pid.numbers") + 16 * i), 4, BigInt(number))
    );
    const task = this.add("task_struct", { pid: BigInt(numbers[0]!), thread_pid: pid });
    const tgid = leader === undefined ? numbers[0]! : Number(this.memory.load(leader + 32n, 4));
    this.memory.store(task + BigInt(types.offset("task_struct.tgid")), 4, BigInt(tgid));
    this.memory.store(task + BigInt(types.offset("task_struct.group_leader")), 8, leader ?? task);
    this.memory.bytes(task + 16n, 16).set(new TextEncoder().encode(name));
    return task;
  }

  file(inode: number, magic = SOCKFS_MAGIC): bigint {
    const superBlock = this.add("super_block", { s_magic: magic });
    return this.add("file", { f_inode: this.add("inode", { i_ino: BigInt(inode), i_sb: superBlock }) });
  }

  /** Runs the program on a descriptor, for a caller. Returns what it tells. */
  run(task: bigint, file: bigint, caller: bigint, by: SocketFilter, wanted: readonly number[]): SocketFile[] {
    const view = new DataView(new ArrayBuffer(32));
    view.setBigUint64(0, this.memory.add(new Uint8Array(8)), true);
    view.setBigUint64(8, task, true);
    view.setUint32(16, 5, true);
    view.setBigUint64(24, file, true);
    const rows: SocketFile[] = [];
    const code = runProgram(compileTaskFile(by, MAP, types), new Uint8Array(view.buffer), {
      [BPF_FUNC_get_current_task]: () => caller,
      [BPF_FUNC_map_lookup_elem]: ([map, key], memory) => {
        assertEquals(map, BigInt(MAP));
        return wanted.includes(Number(memory.load(key, 4))) ? key : 0n;
      },
      [BPF_FUNC_probe_read_kernel]: ([to, size, from], memory) => {
        if (from < 1n << 32n) return -14n;
        memory.bytes(to, Number(size)).set(memory.bytes(from, Number(size)));
        return 0n;
      },
      [BPF_FUNC_seq_write]: ([, row, size], memory) => {
        assertEquals(size, BigInt(ROW_SIZE));
        rows.push(decodeSocketFile(new DataView(memory.bytes(row, ROW_SIZE).slice().buffer)));
        return 0n;
      },
    }, this.memory);
    assertEquals(code, 0n);
    return rows;
  }
}

Deno.test("sockets that are wanted, by their inodes or by their processes, and no other files", () => {
  const kernel = new Kernel();
  const [caller, task] = [kernel.task([9]), kernel.task([10], undefined, "nginx")];
  const [socket, file] = [kernel.file(77), kernel.file(77, 0x9fa0n)];
  const row = { pid: 10, tid: null, fd: 5, inode: 77, comm: "nginx" };
  assertEquals(kernel.run(task, socket, caller, "inode", [76, 77]), [row]);
  assertEquals(kernel.run(task, socket, caller, "inode", [10]), []);
  assertEquals(kernel.run(task, socket, caller, "pid", [10]), [row]);
  assertEquals(kernel.run(task, socket, caller, "pid", [77]), []);
  assertEquals(kernel.run(task, file, caller, "inode", [77]), []);
  assertEquals(kernel.run(task, file, caller, "pid", [10]), []);
});

Deno.test("the end of the iteration has neither task nor file", () => {
  const kernel = new Kernel();
  const caller = kernel.task([9]);
  assertEquals(kernel.run(0n, 0n, caller, "inode", [77]), []);
  assertEquals(kernel.run(caller, 0n, caller, "inode", [77]), []);
});

Deno.test("a thread is named with its process", () => {
  const kernel = new Kernel();
  const [caller, leader] = [kernel.task([9]), kernel.task([10], undefined, "leader")];
  const thread = kernel.task([11], leader, "thread");
  const expected = [{ pid: 10, tid: 11, fd: 5, inode: 77, comm: "leader" }];
  assertEquals(kernel.run(thread, kernel.file(77), caller, "inode", [77]), expected);
  assertEquals(kernel.run(thread, kernel.file(77), caller, "pid", [10]), expected);
});

Deno.test("numbers are those of the caller's pid namespace", () => {
  const kernel = new Kernel();
  const leader = kernel.task([1010, 20, 3], undefined, "inner");
  const thread = kernel.task([1011, 21, 4], leader);
  const file = kernel.file(77);
  const numbers = (caller: readonly number[]) =>
    kernel.run(thread, file, kernel.task(caller), "inode", [77]).map(({ pid, tid }) => [pid, tid]);
  assertEquals(numbers([1000]), [[1010, 1011]]);
  assertEquals(numbers([1000, 10]), [[20, 21]]);
  assertEquals(numbers([1000, 10, 1]), [[3, 4]]);
});

Deno.test("a task that has just ended has no number, and is left out", () => {
  const kernel = new Kernel();
  const task = kernel.task([10]);
  kernel.memory.store(task, 8, 0n);
  assertEquals(kernel.run(task, kernel.file(77), kernel.task([9]), "inode", [77]), []);
});

Deno.test("a name that is as long as names can be", () => {
  const kernel = new Kernel();
  const task = kernel.task([10], undefined, "fifteen-letters");
  assertEquals(kernel.run(task, kernel.file(1), task, "inode", [1]).map(({ comm }) => comm), ["fifteen-letters"]);
});
