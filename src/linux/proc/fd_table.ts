// The descriptors of one process, or of one thread that has a table of its own: /proc/PID/fd.

import type { SocketInode } from "../../model/ids.ts";
import type { ForeignFd } from "../../../ffi/fd.ts";
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

/** The weight of a block with an end that is no socket, and so gives no information. */
const UNKNOWN = 0.5;

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
  /** The blocks that have not been read, the most likely one last. */
  #blocks: number[];
  /** The likelihood that each block holds a wanted socket; null without a sample. */
  #weights: Float64Array | null = null;
  #read = 0;
  #open = 0;
  #hits = 0;
  #prior = 0;

  private constructor(pid: number, tid: number | null, uid: number, size: number, numbers: number[] | null) {
    this.pid = pid;
    this.tid = tid;
    this.uid = uid;
    this.size = size;
    this.#numbers = numbers;
    this.#blocks = Array.from({ length: Math.ceil(size / BLOCK) }, (_, i) => i).reverse();
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
    try {
      const numbers = readNumbers(directory);
      return new DescriptorTable(pid, tid, uid, numbers.length, numbers);
    } finally {
      directory.close();
    }
  }

  /** Whether the whole table has been read. */
  get exhausted(): boolean {
    return this.#blocks.length === 0;
  }

  /** The likelihood that the next block holds a wanted socket: between 0 and 1, from the blocks read so far. */
  get likelihood(): number {
    const weight = this.#weights === null ? 1 : this.#weights[this.#blocks.at(-1)!]!;
    return weight === 0 ? 0 : (this.#hits + weight * this.#prior * BLOCK) / (this.#read + BLOCK);
  }

  /**
   * Sets the likelihood for a table of which nothing has been read. For a sampled table it applies to blocks with weight 1.
   */
  expect(likelihood: number): void {
    this.#prior = likelihood;
  }

  /**
   * Sorts the blocks by the likelihood that they hold one of the `wanted` inodes (ascending). The kernel hands out both
   * inode numbers and descriptor numbers mostly in ascending order, so that the inodes at a block's two ends bound those
   * between. The narrower the bounds, the surer the guess.
   */
  sample(wanted: Uint32Array): void {
    const ends = Array.from({ length: this.#blocks.length + 1 }, (_, i) => Math.min(i * BLOCK, this.size - 1));
    const inodes: number[] = [];
    this.#readEach(ends, (_, inode) => inodes.push(inode) > 0);
    const weights = Float64Array.from(this.#blocks.keys(), (block) => {
      const a = inodes[block] ?? CLOSED;
      const b = inodes[block + 1] ?? CLOSED;
      if (a <= 0 || b <= 0) return UNKNOWN;
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      return Math.min(1, BLOCK * countBetween(wanted, low, high) / (high - low + 1));
    });
    this.#weights = weights;
    this.#blocks.sort((a, b) => weights[a]! - weights[b]!);
  }

  /** Reads the next block: calls `each` with every socket in it, and counts those for which it returns true. */
  readBlock(each: (fd: ForeignFd, inode: SocketInode) => boolean): void {
    pulse();
    const block = this.#blocks.pop()!;
    const numbers = this.#numbers?.slice(block * BLOCK, (block + 1) * BLOCK) ??
      Array.from({ length: BLOCK }, (_, i) => block * BLOCK + i);
    const isSmall = this.size <= BLOCK;
    let next = 0;
    let misses = 0;
    this.#readEach(numbers, (fd, inode) => {
      this.#read++;
      next = fd + 1;
      if (inode === CLOSED) misses++;
      else this.#open++;
      if (inode > 0 && each(fd, inode)) this.#hits++;
      return this.#numbers !== null || (this.#open < this.size && !(isSmall && misses === MISSES));
    });
    if (this.#numbers !== null || this.unreadable) return;
    if (this.#open >= this.size) this.#blocks = [];
    else if (this.#blocks.length === 0) this.#findStragglers(isSmall ? next : Math.ceil(this.size / BLOCK) * BLOCK);
  }

  /** Lists the descriptors from a number on. Those below it have been tried one by one. */
  #findStragglers(from: number): void {
    const directory = openDirectory(tablePath(this.pid, this.tid));
    if (directory === null || directory === "unreadable") return;
    this.#weights = null;
    this.#numbers = readNumbers(directory).filter((fd) => fd >= from);
    directory.close();
    this.#blocks = Array.from({ length: Math.ceil(this.#numbers.length / BLOCK) }, (_, i) => i);
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
    try {
      for (const fd of numbers) {
        writeDecimal(fd);
        if (!each(fd, linkedInode(this.#readLink(directory)))) return;
      }
    } finally {
      directory.close();
    }
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
    this.#blocks = [];
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

/** Returns the number of elements of an ascending array from `low` to `high`, both included. */
function countBetween(ascending: Uint32Array, low: number, high: number): number {
  return firstFrom(ascending, high + 1) - firstFrom(ascending, low);
}

/** Returns the index of the first element of an ascending array that is not below `least`. */
function firstFrom(ascending: Uint32Array, least: number): number {
  let [from, to] = [0, ascending.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (ascending[middle]! < least) from = middle + 1;
    else to = middle;
  }
  return from;
}
