// System calls on files and directories.

import { check, checkCall, checkInterruptible, cString, lazily, retryOnClobberedErrno } from "./call.ts";
import { Descriptor, O_CLOEXEC } from "./descriptor.ts";
import { host } from "./deno.ts";
import { EACCES, ENOENT, ESRCH, SyscallError } from "./errno.ts";
import { isUnresponsive, notePath } from "./progress.ts";
import { SYS_getdents64 } from "./unistd.ts";

/** The symbols that reading /proc takes, which every command does. */
const fsSymbols = lazily({
  openat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  readlinkat: { parameters: ["i32", "buffer", "buffer", "usize"], result: "i32" },
  getdents64: { name: "syscall", parameters: ["usize", "i32", "buffer", "usize"], result: "i32" },
});

const statxSymbols = lazily({
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
});

const writeSymbols = lazily({ write: { parameters: ["i32", "buffer", "usize"], result: "i32" } });

const preadSymbols = lazily({
  pread: { name: "pread64", parameters: ["i32", "buffer", "usize", "isize"], result: "i32" },
});

const pwriteSymbols = lazily({
  pwrite: { name: "pwrite64", parameters: ["i32", "buffer", "usize", "isize"], result: "i32" },
});

const directorySymbols = lazily({
  mkdir: { parameters: ["buffer", "u32"], result: "i32" },
  unlink: { parameters: ["buffer"], result: "i32" },
  rmdir: { parameters: ["buffer"], result: "i32" },
});

const creationSymbols = lazily({
  create: { name: "openat", parameters: ["i32", "buffer", "i32", "u32"], result: "i32" },
  rename: { parameters: ["buffer", "buffer"], result: "i32" },
  umask: { parameters: ["u32"], result: "u32" },
});

const accessSymbols = lazily({
  faccessat: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  getxattr: { parameters: ["buffer", "buffer", "buffer", "usize"], result: "i32" },
});

const AT_FDCWD = -100;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
export const O_RDWR = 2;
export const O_DIRECTORY = host.arch === "x86_64" ? 0o200000 : 0o40000;

/** File types, in the mode of a file. */
export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;

const WORKING_DIRECTORY = new Descriptor(AT_FDCWD);

/** Notes the path that a call is about. @throws {SyscallError} `EACCES` for a process that is marked as unresponsive. */
function approach(syscall: string, path: string): void {
  if (isUnresponsive(notePath(path))) throw new SyscallError(syscall, EACCES);
}

/** openat(2), read-only. */
export function open(path: string, flags = 0): Descriptor {
  approach("openat", path);
  const name = cString(path);
  return new Descriptor(checkCall("openat", () => fsSymbols().openat(AT_FDCWD, name, O_RDONLY | O_CLOEXEC | flags)));
}

/** read(2), repeated when a signal interrupts it. Returns the bytes read, 0 at the end. */
export function read(file: Descriptor, buffer: Uint8Array): number {
  const { read } = fsSymbols();
  const length = BigInt(buffer.length);
  return checkInterruptible("read", () => read(file.number, buffer, length));
}

/** pread(2). Returns the bytes read. */
export function readAt(file: Descriptor, buffer: Uint8Array, offset: bigint): number {
  return check("pread", preadSymbols().pread(file.number, buffer, BigInt(buffer.length), offset));
}

/** write(2). Returns the bytes written. */
export function write(file: Descriptor, bytes: Uint8Array): number {
  return check("write", writeSymbols().write(file.number, bytes, BigInt(bytes.length)));
}

/** pwrite(2), of all the bytes. */
export function writeAt(file: Descriptor, bytes: Uint8Array, offset: bigint): void {
  for (let rest = bytes; rest.length > 0;) {
    const { number } = file;
    const written = check("pwrite", pwriteSymbols().pwrite(number, rest, BigInt(rest.length), offset));
    rest = rest.subarray(written);
    offset += BigInt(written);
  }
}

/** getdents64(2): fills `buffer` with `struct linux_dirent64` entries. Returns their bytes, 0 at the end. */
export function getdents64(directory: Descriptor, buffer: Uint8Array): number {
  const size = BigInt(buffer.length);
  return checkCall("getdents64", () => fsSymbols().getdents64(SYS_getdents64, directory.number, buffer, size));
}

/**
 * readlinkat(2) of `path`, a C string (its NUL included). Returns the target's length, or 0 when there is no such
 * link: a link in /proc may vanish at any moment, which is no error.
 */
export function readlinkat(directory: Descriptor, path: Uint8Array, buffer: Uint8Array, size: bigint): number {
  const length = retryOnClobberedErrno(() => fsSymbols().readlinkat(directory.number, path, buffer, size));
  if (length >= 0) return length;
  if (length !== -ENOENT && length !== -ESRCH) throw new SyscallError("readlinkat", -length);
  return 0;
}

/** readlinkat(2) of an absolute path. Returns the target's length, or 0 when there is no such link. */
export function readlink(path: string, buffer: Uint8Array): number {
  approach("readlinkat", path);
  return readlinkat(WORKING_DIRECTORY, cString(path), buffer, BigInt(buffer.length));
}

const AT_EMPTY_PATH = 0x1000;
const STATX_TYPE_AND_MODE = 0x3;
const STATX_NLINK = 0x4;
const STATX_UID = 0x8;
const STATX_INO = 0x100;
const STATX_SIZE = 0x200;
const statxBuffer = new Uint8Array(256);
const statxView = new DataView(statxBuffer.buffer);

/** The status of a file, from statx(2). */
export interface FileStatus {
  readonly ino: number;
  /** The number of hard links. */
  readonly nlink: number;
  /** The device number of its file system, major and minor: `0:4`. */
  readonly dev: string;
  readonly mode: number;
  readonly uid: number;
  readonly size: number;
}

/** statx(2) of an open file (`path` empty), or of a path, which may be a link, below it. */
export function statx(directory: Descriptor | null, path = ""): FileStatus {
  if (directory === null) approach("statx", path);
  const base = directory === null ? AT_FDCWD : directory.number;
  const mask = STATX_TYPE_AND_MODE | STATX_NLINK | STATX_INO | STATX_UID | STATX_SIZE;
  const [name, flags] = [cString(path), path === "" ? AT_EMPTY_PATH : 0];
  checkCall("statx", () => statxSymbols().statx(base, name, flags, mask, statxBuffer));
  return {
    ino: Number(statxView.getBigUint64(32, true)),
    nlink: statxView.getUint32(16, true),
    dev: `${statxView.getUint32(136, true)}:${statxView.getUint32(140, true)}`,
    mode: statxView.getUint16(28, true),
    uid: statxView.getUint32(20, true),
    size: Number(statxView.getBigUint64(40, true)),
  };
}

const X_OK = 1;
const AT_EACCESS = 0x200;

/**
 * Checks by faccessat(2) that the effective user may execute, or search, `path`.
 *
 * @throws {SyscallError} `EACCES` when that is denied, `ENOENT` when there is no such file.
 */
export function checkExecutable(path: string): void {
  check("faccessat", accessSymbols().faccessat(AT_FDCWD, cString(path), X_OK, AT_EACCESS));
}

/** getxattr(2): returns the length of an extended attribute. */
export function xattrLength(path: string, name: string): number {
  return check("getxattr", accessSymbols().getxattr(cString(path), cString(name), null, 0n));
}

/** mkdir(2), by default for its owner alone. @throws {SyscallError} `EEXIST`. */
export function makeDirectory(path: string, mode = 0o700): void {
  check("mkdir", directorySymbols().mkdir(cString(path), mode));
}

/** openat(2) of a file that is made by it, for writing. It follows no link. @throws {SyscallError} `EEXIST`. */
export function createFile(path: string, mode: number): Descriptor {
  const flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  return new Descriptor(check("openat", creationSymbols().create(AT_FDCWD, cString(path), flags, mode)));
}

/** rename(2), which takes the place of a file at `to`. */
export function rename(from: string, to: string): void {
  check("rename", creationSymbols().rename(cString(from), cString(to)));
}

/** umask(2). Returns the mask before. */
export function setUmask(mask: number): number {
  return creationSymbols().umask(mask);
}

/** unlink(2). @throws {SyscallError} `ENOENT`. */
export function unlink(path: string): void {
  check("unlink", directorySymbols().unlink(cString(path)));
}

/** rmdir(2). @throws {SyscallError} `ENOENT`, `ENOTEMPTY`. */
export function removeDirectory(path: string): void {
  check("rmdir", directorySymbols().rmdir(cString(path)));
}
