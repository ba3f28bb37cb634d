// memfd_create(2) and mmap(2): memory that several processes share.

import { check, cString, lazily } from "./call.ts";
import { memoryAt } from "./deno.ts";
import { Descriptor } from "./descriptor.ts";
import { EFBIG, SyscallError } from "./errno.ts";
import { getrlimit, RLIMIT_FSIZE } from "./process.ts";

const memfdSymbols = lazily({
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  ftruncate: { parameters: ["i32", "isize"], result: "i32" },
});

const mmapSymbols = lazily({
  mmap: { parameters: ["usize", "usize", "i32", "i32", "i32", "isize"], result: "usize" },
});

const MFD_CLOEXEC = 1;

/**
 * memfd_create(2) and ftruncate(2): a file of `size` zeros, which lives as long as a descriptor or a mapping of it.
 *
 * @param inherited Leaves FD_CLOEXEC unset.
 * @throws {SyscallError} `EFBIG` when RLIMIT_FSIZE forbids it: ftruncate(2) would bring SIGXFSZ.
 */
export function createMemfd(name: string, size: number, inherited = false): Descriptor {
  if (getrlimit(RLIMIT_FSIZE).soft < BigInt(size)) throw new SyscallError("ftruncate", EFBIG);
  const flags = inherited ? 0 : MFD_CLOEXEC;
  const memory = new Descriptor(check("memfd_create", memfdSymbols().memfd_create(cString(name), flags)));
  check("ftruncate", memfdSymbols().ftruncate(memory.number, BigInt(size)));
  return memory;
}

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffffffffffffffffn;

/** mmap(2) with MAP_SHARED: writes are seen at once by every process that maps the file. The memory is never unmapped. */
export function mapShared(memory: Descriptor, size: number): Uint8Array<ArrayBuffer> {
  const address = mmapSymbols().mmap(0n, BigInt(size), PROT_READ_WRITE, MAP_SHARED, memory.number, 0n);
  check("mmap", address === MAP_FAILED ? -1 : 0);
  return new Uint8Array(memoryAt(address, size));
}
