// Whole files and directories. They are read through libc, since the runtime's own functions want more permissions.

import { getdents64, O_DIRECTORY, open, read } from "./fs.ts";

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

const CHUNK = 64 * 1024;

/**
 * The whole of a file, or of whatever else can be read to its end.
 *
 * @param most Bytes: of a larger file somewhat more than that is read, and no more.
 * @throws {SyscallError}
 */
export function readWhole(path: string, most = Infinity): Uint8Array {
  const file = open(null, path);
  try {
    const chunks: Uint8Array[] = [];
    for (let total = 0; total <= most;) {
      const chunk = new Uint8Array(CHUNK);
      const length = read(file, chunk);
      if (length === 0) break;
      total += length;
      chunks.push(chunk.subarray(0, length));
    }
    return concatenate(chunks);
  } finally {
    file.close();
  }
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
export interface Entry {
  readonly name: string;
  readonly isDirectory: boolean;
}

const DT_DIR = 4;

/** The entries of a directory, `.` and `..` left out. @throws {SyscallError} */
export function entriesOf(path: string): Entry[] {
  const directory = open(null, path, O_DIRECTORY);
  const buffer = new Uint8Array(CHUNK);
  const view = new DataView(buffer.buffer);
  const entries: Entry[] = [];
  try {
    for (let length; (length = getdents64(directory, buffer)) > 0;) {
      // struct linux_dirent64 {u64 ino, s64 off, u16 reclen, u8 type, char name[]}
      for (let offset = 0; offset < length; offset += view.getUint16(offset + 16, true)) {
        const name = decoder.decode(buffer.subarray(offset + 19, buffer.indexOf(0, offset + 19)));
        if (name !== "." && name !== "..") entries.push({ name, isDirectory: buffer[offset + 18] === DT_DIR });
      }
    }
    return entries;
  } finally {
    directory.close();
  }
}
