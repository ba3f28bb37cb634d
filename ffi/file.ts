// Files: reading them, asking what may be done with them, and memory that is one.

import { EFBIG } from "./errno.ts";
import { AT_FDCWD, check, cString, Descriptor, lazily, open, read, SyscallError } from "./libc.ts";
import { memoryAt } from "./memory.ts";
import { fileSizeLimit } from "./process.ts";

const looking = lazily({
  faccessat: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  getxattr: { parameters: ["buffer", "buffer", "buffer", "usize"], result: "i32" },
});

const remembering = lazily({
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  ftruncate: { parameters: ["i32", "isize"], result: "i32" },
});

const writing = lazily({
  pwrite: { name: "pwrite64", parameters: ["i32", "buffer", "usize", "isize"], result: "i32" },
});

const mapping = lazily({
  mmap: { parameters: ["usize", "usize", "i32", "i32", "i32", "isize"], result: "usize" },
});

const seeking = lazily({
  pread: { name: "pread64", parameters: ["i32", "buffer", "usize", "isize"], result: "i32" },
});

/** What most files of /proc fit in, kept from one to the next. */
let scratch = new Uint8Array(16 * 1024);
const decoder = new TextDecoder();

/** The whole of a text file, such as one of /proc that is read over and over. */
export function readTextFile(path: string): string {
  const file = open(null, path);
  try {
    let length = 0;
    for (;;) {
      const count = read(file, scratch.subarray(length));
      if (count === 0) return decoder.decode(scratch.subarray(0, length));
      length += count;
      if (length === scratch.length) scratch = enlarge(scratch);
    }
  } finally {
    file.close();
  }
}

function enlarge(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(bytes.length * 2);
  larger.set(bytes);
  return larger;
}

/** pread(2). Returns the bytes read. */
export function readAt(file: Descriptor, buffer: Uint8Array, offset: bigint): number {
  return check("pread", seeking().pread(file.number, buffer, BigInt(buffer.length), offset));
}

/** pwrite(2), of all the bytes. */
export function writeAt(file: Descriptor, bytes: Uint8Array, offset: bigint): void {
  for (let rest = bytes; rest.length > 0;) {
    const { number } = file;
    const written = check("pwrite", writing().pwrite(number, rest, BigInt(rest.length), offset));
    rest = rest.subarray(written);
    offset += BigInt(written);
  }
}

const X_OK = 1;
const AT_EACCESS = 0x200;

/**
 * faccessat(2) with X_OK and AT_EACCESS: that this process could execute, or search, `path`.
 *
 * @throws {SyscallError} `EACCES` when it could not, `ENOENT` when there is no such file.
 */
export function checkExecutable(path: string): void {
  check("faccessat", looking().faccessat(AT_FDCWD, cString(path), X_OK, AT_EACCESS));
}

/** The length of an extended attribute, as getxattr(2) has it. */
export function attributeLength(path: string, name: string): number {
  return check("getxattr", looking().getxattr(cString(path), cString(name), null, 0n));
}

const MFD_CLOEXEC = 1;

/**
 * memfd_create(2) and ftruncate(2): `size` bytes of zeros that live for as long as a descriptor of them.
 *
 * @param inherited Whether the descriptor stays open with execve(2).
 * @throws {SyscallError} `EFBIG` where RLIMIT_FSIZE forbids it: to try would bring SIGXFSZ.
 */
export function createMemory(name: string, size: number, inherited = false): Descriptor {
  if (fileSizeLimit().soft < BigInt(size)) throw new SyscallError("ftruncate", EFBIG);
  const flags = inherited ? 0 : MFD_CLOEXEC;
  const memory = new Descriptor(check("memfd_create", remembering().memfd_create(cString(name), flags)));
  check("ftruncate", remembering().ftruncate(memory.number, BigInt(size)));
  return memory;
}

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffffffffffffffffn;

/** mmap(2) with MAP_SHARED: what is written there is in the file at once. It stays mapped for good. */
export function mapMemory(memory: Descriptor, size: number): Uint8Array<ArrayBuffer> {
  const address = mapping().mmap(0n, BigInt(size), PROT_READ_WRITE, MAP_SHARED, memory.number, 0n);
  check("mmap", address === MAP_FAILED ? -1 : 0);
  return new Uint8Array(memoryAt(address, size));
}
