// The descriptors of one process, or of one thread that has a table of its own: /proc/PID/fd.

import { isSyscallError } from "../../../ffi/errno.ts";
import { readlinkat, statx } from "../../../ffi/fs.ts";
import type { Descriptor } from "../../../ffi/descriptor.ts";
import { directoryStatus, openDirectory, readNumbers } from "./process.ts";
import { pulse } from "./pulse.ts";

/** Descriptors are read in blocks of so many: few enough to stop early, enough to make opening /proc/PID/fd cheap. */
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

/** After so many numbers that are not open a table of one block is listed: reading a name that is not there takes long. */
const MISSES = 4;

/** The weight of a block an end of which is no socket, and so says nothing. */
const UNKNOWN = 0.5;

/** In place of an inode: the descriptor is not open. */
const CLOSED = -1;

/** The inode in the `socket:[INODE]` that was read into `link`, 0 for any other target. */
function linkedInode(length: number): number {
  if (length === 0) return CLOSED;
  for (let i = 0; i < SOCKET.length; i++) if (link[i] !== SOCKET[i]) return 0;
  let inode = 0;
  for (let i = SOCKET.length; i < length - 1; i++) inode = inode * 10 + link[i] - 48;
  return inode;
}

/** A table of descriptors, and how much of it has been read. */
export class DescriptorTable {
  readonly pid: number;
  /** The thread whose table it is, when it is not the whole process's. */
  readonly tid: number | null;
  /** The user whom the process runs as; root for one that is not dumpable. */
  readonly uid: number;
  /** How many descriptors were open when it was opened. */
  readonly size: number;
  /** The numbers in use; null while they are taken to be 0 to `size` − 1, as they are or nearly so in most tables. */
  #numbers: number[] | null;
  /** Whether this user was kept from seeing what a descriptor is. */
  unreadable = false;
  /** Blocks yet to be read, the most promising last. */
  #blocks: number[];
  /** How likely each block is to hold a wanted socket; null as long as nobody knows. */
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
   * Looks at a table, which tells its size; whether it may be read shows when it is. Returns null when the process is
   * gone, `"unreadable"` when this user may not even look.
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

  /** Whether all of it has been read. */
  get exhausted(): boolean {
    return this.#blocks.length === 0;
  }

  /** How likely it is that the next block holds a wanted socket: between 0 and 1, by what was read so far. */
  get likelihood(): number {
    const weight = this.#weights === null ? 1 : this.#weights[this.#blocks[this.#blocks.length - 1]];
    return weight === 0 ? 0 : (this.#hits + weight * this.#prior * BLOCK) / (this.#read + BLOCK);
  }

  /** What to expect of the table before any of it is read; of a sampled one, where its blocks may hold something. */
  expect(likelihood: number): void {
    this.#prior = likelihood;
  }

  /**
   * Puts those blocks first that are likely to hold one of the `wanted` inodes (ascending). Inode numbers and descriptor
   * numbers are both handed out in ascending order, by and large, so the inodes at a block's two ends tell what lies
   * between: the less there is between them, the surer is what lies there.
   */
  sample(wanted: Uint32Array): void {
    const ends = Array.from({ length: this.#blocks.length + 1 }, (_, i) => Math.min(i * BLOCK, this.size - 1));
    const inodes: number[] = [];
    this.#readEach(ends, (_, inode) => inodes.push(inode) > 0);
    const weights = Float64Array.from(this.#blocks.keys(), (block) => {
      const [a, b] = [inodes[block], inodes[block + 1]];
      if (a <= 0 || b <= 0) return UNKNOWN;
      const [low, high] = [Math.min(a, b), Math.max(a, b)];
      return Math.min(1, BLOCK * countBetween(wanted, low, high) / (high - low + 1));
    });
    this.#weights = weights;
    this.#blocks.sort((a, b) => weights[a] - weights[b]);
  }

  /** Reads the next block: calls `each` with every socket in it, and counts those for which it returns true. */
  readBlock(each: (fd: number, inode: number) => boolean): void {
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

  /** Adds the descriptors from a number on: that far the numbers have been tried one by one. */
  #findStragglers(from: number): void {
    const directory = openDirectory(tablePath(this.pid, this.tid));
    if (directory === null || directory === "unreadable") return;
    this.#weights = null;
    this.#numbers = readNumbers(directory).filter((fd) => fd >= from);
    directory.close();
    this.#blocks = Array.from({ length: Math.ceil(this.#numbers.length / BLOCK) }, (_, i) => i);
  }

  /** Which of these descriptors still are the sockets that they are said to be. */
  holds(sockets: readonly { fd: number; inode: number }[]): { fd: number; inode: number }[] {
    const held: { fd: number; inode: number }[] = [];
    let i = 0;
    this.#readEach(sockets.map(({ fd }) => fd), (_, inode) => {
      const socket = sockets[i++];
      if (inode === socket.inode) held.push(socket);
      return true;
    });
    return held;
  }

  /**
   * Calls `each` for the numbers in order, until it returns false, with inode 0 for what is no socket and CLOSED for what
   * is not open, or not to be seen.
   */
  #readEach(numbers: readonly number[], each: (fd: number, inode: number) => boolean): void {
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

  /** Listing descriptors takes less than seeing what they are: root without CAP_SYS_PTRACE may do only the first. */
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

/** Since Linux 6.2 the size of a directory of descriptors is how many there are; before, it is 0. */
function sizesAreKnown(): boolean {
  return known ??= statx(null, "/proc/self/fd").size > 0;
}

function tablePath(pid: number, tid: number | null): string {
  return tid === null ? `/proc/${pid}/fd` : `/proc/${pid}/task/${tid}/fd`;
}

/** How many elements of an ascending array lie between `low` and `high`, these included. */
function countBetween(ascending: Uint32Array, low: number, high: number): number {
  return firstFrom(ascending, high + 1) - firstFrom(ascending, low);
}

/** The index of the first element of an ascending array that is not below `least`. */
function firstFrom(ascending: Uint32Array, least: number): number {
  let [from, to] = [0, ascending.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (ascending[middle] < least) from = middle + 1;
    else to = middle;
  }
  return from;
}
