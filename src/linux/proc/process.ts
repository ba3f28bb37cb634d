// Processes in proc(5). They are read through libc: the runtime's own file functions are slower and ask for more
// permissions. A process may end at any moment, which here is never an error.

import { cString } from "../../../ffi/call.ts";
import { withOpen } from "../../../ffi/closing.ts";
import type { Descriptor } from "../../../ffi/descriptor.ts";
import { isSyscallError, withFallback } from "../../../ffi/errno.ts";
import { readTextFile } from "../../../ffi/files.ts";
import { type FileStatus, getdents64, O_DIRECTORY, open, readlinkat, statx } from "../../../ffi/fs.ts";
import { avoidedUsers, excludedProcesses, markUnresponsive } from "../../../ffi/progress.ts";

/** The errors for a process that has ended, or is ending. */
const GONE = ["ENOENT", "ESRCH"];
/** The errors for another user's process: EACCES, or EPERM with the mount option hidepid=1. */
const DENIED = ["EACCES", "EPERM"];

const buffer = new Uint8Array(32 * 1024);
const bufferView = new DataView(buffer.buffer);

const utf8 = new TextDecoder();

/** Reads a text file; null when the file is gone, or this user may not read it. */
export function readFile(path: string): string | null {
  return withFallback(null, () => readTextFile(path), ...GONE, ...DENIED);
}

/** Returns the entries of an open directory whose names are decimal numbers, in the kernel's order. */
export function readNumbers(directory: Descriptor): number[] {
  const numbers: number[] = [];
  for (;;) {
    const length = withFallback(0, () => getdents64(directory, buffer), ...GONE);
    if (length === 0) return numbers;
    // struct linux_dirent64 {u64 ino, s64 off, u16 reclen, u8 type, char name[]}
    for (let offset = 0; offset < length; offset += bufferView.getUint16(offset + 16, true)) {
      const number = parseDecimal(buffer, offset + 19);
      if (number >= 0) numbers.push(number);
    }
  }
}

/** Returns the decimal number in the C string at `offset`; −1 for other text. */
function parseDecimal(bytes: Uint8Array, offset: number): number {
  let number = 0;
  let i = offset;
  for (; bytes[i] !== 0; i++) {
    const digit = bytes[i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return i === offset ? -1 : number;
}

/** Opens a directory of /proc. Returns null when it is gone, `"unreadable"` when this user may not read it. */
export function openDirectory(path: string): Descriptor | null | "unreadable" {
  return unlessUnreadable(() => open(path, O_DIRECTORY));
}

/** Returns the statx(2) of a directory of /proc; null or `"unreadable"` as `openDirectory`. */
export function directoryStatus(path: string): FileStatus | null | "unreadable" {
  return unlessUnreadable(() => statx(null, path));
}

function unlessUnreadable<T>(look: () => T): T | null | "unreadable" {
  try {
    return look();
  } catch (error) {
    if (isSyscallError(error, ...GONE)) return null;
    if (isSyscallError(error, ...DENIED)) return "unreadable";
    throw error;
  }
}

/** Returns the numbers of all processes that this mount of /proc shows. */
export function processes(): number[] {
  const pids = withOpen(open("/proc", O_DIRECTORY), readNumbers).filter((pid) => !excludedProcesses.has(pid));
  if (avoidedUsers.size > 0) pids.forEach(leaveAloneIfAvoided);
  return pids;
}

/** The time for which a process of an avoided user counts as unresponsive. */
const AVOIDED_MS = 60_000;

function leaveAloneIfAvoided(pid: number): void {
  const status = directoryStatus(`/proc/${pid}`);
  if (status === null || status === "unreadable" || !avoidedUsers.has(status.uid)) return;
  markUnresponsive(pid, Date.now() + AVOIDED_MS);
}

/**
 * Whether /proc lists all processes. With the mount option hidepid=invisible it hides those of other users, and with them
 * process 1, which every PID namespace has.
 */
export function listsAllProcesses(pids: readonly number[]): boolean {
  return pids.includes(1);
}

/** The link count of /proc/PID/task with one thread: a directory has two links of its own, and one for each entry. */
const LINKS_OF_ONE_THREAD = 3;

/** Returns the threads of a process, its leader among them. */
export function threads(pid: number): number[] {
  const path = `/proc/${pid}/task`;
  const status = directoryStatus(path);
  if (status === null || status === "unreadable") return [];
  // Nearly all processes have one thread, and statx(2) is faster than listing the directory.
  if (status.nlink === LINKS_OF_ONE_THREAD) return [pid];
  const directory = openDirectory(path);
  return directory === null || directory === "unreadable" ? [] : withOpen(directory, readNumbers);
}

/**
 * Returns the name of a process: up to 15 bytes of its program's name, or a name that it has set. Empty when it has ended.
 */
export function comm(pid: number): string {
  return readFile(`/proc/${pid}/comm`)?.replace(/\n$/, "") ?? "";
}

/** Fields of /proc/PID/stat. */
export interface ProcessStat {
  readonly pid: number;
  /** The parent; 0 for none in this PID namespace. */
  readonly parent: number;
  /** The leader of the session. */
  readonly session: number;
  /** The device number of the session's controlling terminal; 0 for none. */
  readonly terminal: number;
}

/** Reads /proc/PID/stat; null when the process has ended. */
export function readStat(pid: number): ProcessStat | null {
  const stat = readFile(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The second field is the name in parentheses, which may itself contain parentheses and spaces.
  const [, parent = 0, , session = 0, terminal = 0] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").map(Number);
  return { pid, parent, session, terminal };
}

/** Returns the parent of a process; 0 for none in this PID namespace. */
export function parent(pid: number): number {
  return readStat(pid)?.parent ?? 0;
}

/** Returns the number of this process, as this mount of /proc shows it. */
export function self(): number {
  return Number(readFile("/proc/self/stat")?.split(" ")[0]);
}

/** Returns a process, its parent, the parent's parent, and so on. */
export function ancestry(pid: number): ProcessStat[] {
  const line: ProcessStat[] = [];
  for (let one = readStat(pid); one !== null; one = readStat(one.parent)) line.push(one);
  return line;
}

/** Returns a variable of the environment that a process was started with, by default this process. */
export function environment(name: string, pid: number | "self" = "self"): string | undefined {
  const entry = readFile(`/proc/${pid}/environ`)?.split("\0").find((text) => text.startsWith(`${name}=`));
  return entry?.slice(name.length + 1);
}

/** The major number of a pseudoterminal: UNIX98_PTY_SLAVE_MAJOR. */
const PTY_MAJOR = 136;

/** Returns the pseudoterminals that a process has open, as the device numbers of /proc/PID/stat. */
export function terminalsOf(pid: number): number[] {
  const directory = openDirectory(`/proc/${pid}/fd`);
  if (directory === null || directory === "unreadable") return [];
  const target = new Uint8Array(64);
  const terminals = () =>
    readNumbers(directory).flatMap((fd) => {
      const length = readlinkat(directory, cString(`${fd}`), target, BigInt(target.length));
      const [, index] = /\/pts\/(\d+)$/.exec(utf8.decode(target.subarray(0, length))) ?? [];
      return index === undefined ? [] : [ptyDevice(Number(index))];
    });
  return withOpen(directory, () => withFallback([], terminals, ...DENIED));
}

/**
 * Encodes a device number as new_encode_dev() of the kernel: the minor's lower 8 bits are below the major, the others
 * above.
 */
function ptyDevice(index: number): number {
  return (index & ~0xff) << 12 | PTY_MAJOR << 8 | index & 0xff;
}
