// Whole files and directories. They are read through libc, since the runtime's own functions want more permissions.

import { withOpen } from "./closing.ts";
import { getdents64, O_DIRECTORY, open, read, statx } from "./fs.ts";

const CHUNK = 64 * 1024;

/** Every read goes through this buffer: /proc is read thousands of times. */
const scratch = new Uint8Array(CHUNK);
const decoder = new TextDecoder();

/**
 * Reads a file, or anything else that has an end. A file of /proc may come in pieces of a page, so that only a read of
 * 0 bytes is the end.
 *
 * @param most Bytes. Of a larger file reading stops at the first chunk beyond that.
 * @throws {SyscallError}
 */
export function readFile(path: string, most = Infinity): Uint8Array {
  return withOpen(open(path), (file) => {
    const chunks: Uint8Array[] = [];
    for (let total = 0; total <= most;) {
      const length = read(file, scratch);
      if (length === 0) break;
      total += length;
      chunks.push(scratch.slice(0, length));
    }
    const [first, second] = chunks;
    return first !== undefined && second === undefined ? first : concatenate(chunks);
  });
}

/** Reads a large file that tells its size, without a copy. @throws {SyscallError} */
export function readLargeFile(path: string): Uint8Array {
  return withOpen(open(path), (file) => {
    const bytes = new Uint8Array(statx(file).size);
    let length = 0;
    // A file of sysfs comes in pieces of a page.
    for (let more = 1; more > 0 && length < bytes.length; length += more) more = read(file, bytes.subarray(length));
    return bytes.subarray(0, length);
  });
}

/** Reads a text file. @throws {SyscallError} */
export function readTextFile(path: string): string {
  return decoder.decode(readFile(path));
}

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}

/** An entry of a directory. */
export interface DirectoryEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

const DT_DIR = 4;

/** The entries of a directory, `.` and `..` left out. @throws {SyscallError} */
export function readDirectory(path: string): DirectoryEntry[] {
  return withOpen(open(path, O_DIRECTORY), (directory) => {
    const buffer = new Uint8Array(CHUNK);
    const view = new DataView(buffer.buffer);
    const entries: DirectoryEntry[] = [];
    for (let length; (length = getdents64(directory, buffer)) > 0;) {
      // struct linux_dirent64 {u64 ino, s64 off, u16 reclen, u8 type, char name[]}
      for (let offset = 0; offset < length; offset += view.getUint16(offset + 16, true)) {
        const name = decoder.decode(buffer.subarray(offset + 19, buffer.indexOf(0, offset + 19)));
        if (name !== "." && name !== "..") entries.push({ name, isDirectory: buffer[offset + 18] === DT_DIR });
      }
    }
    return entries;
  });
}
