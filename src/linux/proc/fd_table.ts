// The descriptors of one process, or of one thread that has a table of its own: /proc/PID/fd.

import type { ForeignFd, SocketInode } from "../../model/ids.ts";
import { withOpen } from "../../../ffi/closing.ts";
import { isSyscallError } from "../../../ffi/errno.ts";
import { readlinkat, statx } from "../../../ffi/fs.ts";
import type { Descriptor } from "../../../ffi/descriptor.ts";
import { directoryStatus, openDirectory, readNumbers } from "./process.ts";
import { pulse } from "./pulse.ts";

/** The descriptors in a block: few enough to stop early, enough to make opening /proc/PID/fd cheap. */
export const BLOCK = 64;

const link = new Uint8Array(64);
const LINK_SIZE = BigInt(link.length);
const name = new Uint8Array(12);

/** "socket:[" */
const SOCKET = [...new TextEncoder().encode("socket:[")];

/** Writes `number` as a decimal C string. */
function writeDecimal(number: number): void {
  let length = 1;
  for (let rest = number; rest > 9; rest = Math.trunc(rest / 10)) length++;
  name[length] = 0;
  for (let i = length - 1, rest = number; i >= 0; i--, rest = Math.trunc(rest / 10)) name[i] = 48 + rest % 10;
}

/** The closed numbers after which a table of one block is listed: a readlink(2) of a missing name is slow. */
const MISSES = 4;

/** Stands in place of an inode for a descriptor that is not open. */
const CLOSED = -1;

/** Returns the inode in the `socket:[INODE]` that was read into `link`; 0 for any other target. */
function linkedInode(length: number): number {
  if (length === 0) return CLOSED;
  for (let i = 0; i < SOCKET.length; i++) if (link[i] !== SOCKET[i]) return 0;
  let inode = 0;
  for (let i = SOCKET.length; i < length - 1; i++) inode = inode * 10 + link[i]! - 48;
  return inode;
}

/** A table of descriptors, which is read block by block. */
export class DescriptorTable {
  readonly pid: number;
  /** The thread whose own table it is; null for the table of the process. */
  readonly tid: number | null;
  /** The user of the process; root for a process that is not dumpable. */
  readonly uid: number;
  /** The number of descriptors that were open at construction. */
  readonly size: number;
  /** The numbers in use; null while they are taken to be 0 to `size` − 1, which is nearly true for most tables. */
  #numbers: number[] | null;
  /** Whether this user may not read the links of the table. */
  unreadable = false;
  #blocks: number;
  /** The number of blocks that have been read. */
  #read = 0;
  #open = 0;

  private constructor(pid: number, tid: number | null, uid: number, size: number, numbers: number[] | null) {
    this.pid = pid;
    this.tid = tid;
    this.uid = uid;
    this.size = size;
    this.#numbers = numbers;
    this.#blocks = Math.ceil(size / BLOCK);
  }

  /**
   * Opens a table and learns its size. Returns null when the process has ended, `"unreadable"` when this user may not look
   * at the table. Whether its links may be read shows only when they are read.
   */
  static open(pid: number, tid: number | null = null): DescriptorTable | null | "unreadable" {
    pulse();
    const path = tablePath(pid, tid);
    const status = directoryStatus(path);
    if (status === null || status === "unreadable") return status;
    const { uid, size } = status;
    if (sizesAreKnown()) return new DescriptorTable(pid, tid, uid, size, null);
    const directory = openDirectory(path);
    if (directory === null || directory === "unreadable") return directory;
    const numbers = withOpen(directory, readNumbers);
    return new DescriptorTable(pid, tid, uid, numbers.length, numbers);
  }

  /** Whether the whole table has been read. */
  get exhausted(): boolean {
    return this.#read >= this.#blocks;
  }

  /** Reads the next block, and calls `each` with every socket in it. */
  readBlock(each: (fd: ForeignFd, inode: SocketInode) => void): void {
    pulse();
    const block = this.#read++;
    const numbers = this.#numbers?.slice(block * BLOCK, (block + 1) * BLOCK) ??
      Array.from({ length: BLOCK }, (_, i) => block * BLOCK + i);
    const isSmall = this.size <= BLOCK;
    let next = 0;
    let misses = 0;
    this.#readEach(numbers, (fd, inode) => {
      next = fd + 1;
      if (inode === CLOSED) misses++;
      else this.#open++;
      if (inode > 0) each(fd, inode);
      return this.#numbers !== null || (this.#open < this.size && !(isSmall && misses === MISSES));
    });
    if (this.#numbers !== null || this.unreadable) return;
    if (this.#open >= this.size) this.#blocks = 0;
    else if (this.exhausted) this.#findStragglers(isSmall ? next : Math.ceil(this.size / BLOCK) * BLOCK);
  }

  /** Reads what has not been read. */
  readRest(each: (fd: ForeignFd, inode: SocketInode) => void): void {
    while (!this.exhausted) this.readBlock(each);
  }

  /** Lists the descriptors from a number on. Those below it have been tried one by one. */
  #findStragglers(from: number): void {
    const directory = openDirectory(tablePath(this.pid, this.tid));
    if (directory === null || directory === "unreadable") return;
    this.#numbers = withOpen(directory, readNumbers).filter((fd) => fd >= from);
    this.#read = 0;
    this.#blocks = Math.ceil(this.#numbers.length / BLOCK);
  }

  /** Returns those of the descriptors that are the given sockets in this table. */
  holds(sockets: readonly { fd: ForeignFd; inode: SocketInode }[]): { fd: ForeignFd; inode: SocketInode }[] {
    const held: { fd: ForeignFd; inode: SocketInode }[] = [];
    let i = 0;
    this.#readEach(sockets.map(({ fd }) => fd), (_, inode) => {
      const socket = sockets[i++];
      if (socket?.inode === inode) held.push(socket);
      return true;
    });
    return held;
  }

  /**
   * Calls `each` for the numbers in order, until it returns false. The inode is 0 for a file that is no socket, and CLOSED
   * for a descriptor that is not open or cannot be read.
   */
  #readEach(numbers: readonly number[], each: (fd: ForeignFd, inode: SocketInode) => boolean): void {
    const directory = openDirectory(tablePath(this.pid, this.tid));
    if (directory === "unreadable") this.#deny();
    if (directory === null || directory === "unreadable") {
      for (const fd of numbers) each(fd, CLOSED);
      return;
    }
    withOpen(directory, () => {
      for (const fd of numbers) {
        writeDecimal(fd);
        if (!each(fd, linkedInode(this.#readLink(directory)))) return;
      }
    });
  }

  /** Reads a link. Root without CAP_SYS_PTRACE may list descriptors, but not read their links. */
  #readLink(directory: Descriptor): number {
    try {
      return readlinkat(directory, name, link, LINK_SIZE);
    } catch (error) {
      if (!isSyscallError(error, "EACCES", "EPERM")) throw error;
      this.#deny();
      return 0;
    }
  }

  #deny(): void {
    this.unreadable = true;
    this.#blocks = 0;
  }
}

let known: boolean | undefined;

/** Whether st_size of /proc/PID/fd is the number of descriptors, as since Linux 6.2. Before, it is 0. */
function sizesAreKnown(): boolean {
  return known ??= statx(null, "/proc/self/fd").size > 0;
}

function tablePath(pid: number, tid: number | null): string {
  return tid === null ? `/proc/${pid}/fd` : `/proc/${pid}/task/${tid}/fd`;
}
