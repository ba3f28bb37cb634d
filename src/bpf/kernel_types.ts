// The types of the running kernel that the iterators need. They are read once, when an iterator is first used.

import { kernelBtf } from "../../ffi/bpf.ts";
import { isSyscallError, withFallback } from "../../ffi/errno.ts";
import { readLargeFile } from "../../ffi/files.ts";
import { UnsupportedError } from "../model/errors.ts";
import { BTF_FILE, type FoundTypes, readTypes, type WantedTypes } from "./btf.ts";

const WANTED = {
  functions: ["bpf_iter_task_file", "bpf_iter_tcp"],
  members: {
    task_struct: ["pid", "tgid", "group_leader", "thread_pid", "comm"],
    pid: ["level", "numbers"],
    file: ["f_inode"],
    inode: ["i_ino", "i_sb"],
    super_block: ["s_magic"],
    seq_file: ["count", "size"],
    sock_common: ["skc_family", "skc_v6_daddr", "skc_v6_rcv_saddr"],
  },
} as const satisfies WantedTypes;

type Members = typeof WANTED.members;
type Member = { [Struct in keyof Members]: `${Struct}.${Members[Struct][number]}` }[keyof Members];

/** Numbers of functions, and offsets of members in bytes. */
export interface KernelTypes {
  /** @throws {UnsupportedError} When the kernel has no such function. */
  id(name: typeof WANTED.functions[number]): number;
  /** @throws {UnsupportedError} When the kernel has no such member. */
  offset(member: Member): number;
}

let known: KernelTypes | undefined;

/** Returns the types of the running kernel. @throws {UnsupportedError} When the kernel does not tell them. */
export function kernelTypes(): KernelTypes {
  return known ??= lookUpIn(readTypes(readBtf(), WANTED));
}

function lookUpIn({ ids, offsets }: FoundTypes): KernelTypes {
  const existing = (name: string, number: number | undefined): number => {
    if (number !== undefined) return number;
    throw new UnsupportedError(`This kernel's types (BTF) do not have ${name}`);
  };
  return { id: (name) => existing(name, ids.get(name)), offset: (name) => existing(name, offsets.get(name)) };
}

function readBtf(): Uint8Array {
  const types = withFallback(null, kernelBtf);
  if (types !== null) return types;
  try {
    // The file takes fewer capabilities.
    return readLargeFile(BTF_FILE);
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    throw new UnsupportedError(`This kernel's types (BTF) cannot be read from ${BTF_FILE}: ${error.code}`);
  }
}
