// Finds the processes that hold sockets: one pass of the kernel's iterator, or one walk over /proc, for a whole set of inodes.
//
// In the walk, reading a descriptor costs the kernel some 5 µs. So the processes of the users whom the sockets belong to
// come first, and the walk ends when every socket has a holder.

import type { ForeignFd, SocketInode } from "../model/ids.ts";
import { withFallback } from "../../ffi/errno.ts";
import { shareDescriptors } from "../../ffi/process.ts";
import type { SocketFile } from "../bpf/task_file.ts";
import type { Owner } from "../model/connection.ts";
import { comm, listsAllProcesses, parent, processes, threads } from "../linux/proc/process.ts";
import { BLOCK, DescriptorTable } from "../linux/proc/fd_table.ts";
import { affordableReads, iterateSocketFiles, ownerOf, type Way } from "./socket_files.ts";

/** A socket to look for. */
export interface Wanted {
  readonly inode: SocketInode;
  readonly uid: number;
}

/** Options of a search. */
export interface FindOptions {
  /** Read everything, so that every holder is found. Otherwise the search stops when every socket has a holder. */
  readonly exhaustive?: boolean;
  /** Processes whose descriptors are all read in any case. */
  readonly first?: readonly number[];
  /** A process to leave out: this one, while it holds duplicates. */
  readonly except?: number;
  /** Holders that the caller has just found, by inode. They count as found in this search. */
  readonly known?: ReadonlyMap<SocketInode, readonly Owner[]>;
  readonly way?: Way;
}

/** The most holders of a socket that are reported. A process can duplicate a descriptor as often as memory allows. */
export const MAX_OWNERS = 100;

/** The holders that were found. */
export interface FoundOwners {
  /** The first holders of each inode that were found. */
  readonly owners: Map<SocketInode, Owner[]>;
  /** The number of further holders of an inode, where it has more than MAX_OWNERS. */
  readonly leftOut: ReadonlyMap<SocketInode, number>;
  /** The number of processes that this user may not read. All processes that /proc hides count as one. */
  readonly unreadable: number;
}

/** The number of a process's sockets that are compared with the tables of its relatives. */
const SHARED_SAMPLE = 64;

/** Finds the holders of sockets. `wanted` must not contain inode 0. */
export function findOwners(wanted: readonly Wanted[], options: FindOptions = {}): FoundOwners {
  const search = new Search(wanted, options);
  const { leftOut } = search;
  if (wanted.length === 0) return { owners: search.owners, leftOut, unreadable: 0 };
  const { exhaustive = false, first = [], way } = options;
  const iterate = (atLeast: number) => iterateSocketFiles("inode", search.inodes, { atLeast, way });
  let files = iterate(exhaustive ? Infinity : search.remaining);
  if (files === null) {
    search.lookAtProcesses();
    search.readFirst(first);
    if (exhaustive) search.readEverything();
    else if (!search.readUntilFound(way === "proc" ? Infinity : affordableReads())) {
      // What nobody seems to hold would have everything read.
      files = iterate(Infinity);
      if (files === null) search.readEverything();
    }
  }
  if (files !== null) {
    search.takeFiles(files, first);
    return { owners: search.owners, leftOut, unreadable: 0 };
  }
  if (exhaustive || search.remaining > 0) search.readThreads();
  else search.checkForkedRelatives();
  return { owners: search.owners, leftOut, unreadable: search.unreadable + search.unreadableTables };
}

class Search {
  unreadable = 0;
  readonly leftOut = new Map<SocketInode, number>();
  /** The holders of each wanted inode; null while none has been found. */
  readonly #holders = new Map<SocketInode, Owner[] | null>();
  /** The names of the processes that hold any. */
  readonly #names = new Map<number, string>();
  #found = 0;
  readonly #uids = new Set<number>();
  readonly #except: number;
  readonly #tables: DescriptorTable[] = [];

  constructor(wanted: readonly Wanted[], options: FindOptions) {
    for (const { inode, uid } of wanted) {
      this.#holders.set(inode, null);
      this.#uids.add(uid);
    }
    this.#except = options.except ?? 0;
    for (const inode of this.#holders.keys()) {
      for (const owner of options.known?.get(inode) ?? []) this.#add(owner, inode);
    }
  }

  /** The inodes to look for. */
  get inodes(): SocketInode[] {
    return [...this.#holders.keys()];
  }

  /** Takes what the iterator found, in the order of the walk: some processes first, threads last. */
  takeFiles(files: readonly SocketFile[], first: readonly number[]): void {
    const isFirst = new Set(first);
    const turns: [SocketFile[], SocketFile[], SocketFile[], SocketFile[]] = [[], [], [], []];
    for (const file of files) turns[(isFirst.has(file.pid) ? 0 : 2) + (file.tid === null ? 0 : 1)]!.push(file);
    for (const file of turns.flat()) if (file.pid !== this.#except) this.#add(ownerOf(file), file.inode);
  }

  /** The holders of each inode that has any. */
  get owners(): Map<SocketInode, Owner[]> {
    for (const [inode, owners] of this.#holders) if (owners === null) this.#holders.delete(inode);
    return this.#holders as Map<SocketInode, Owner[]>;
  }

  /** The number of processes whose table turned out to be unreadable. */
  get unreadableTables(): number {
    return this.#tables.filter(({ unreadable }) => unreadable).length;
  }

  get remaining(): number {
    return this.#holders.size - this.#found;
  }

  lookAtProcesses(): void {
    const pids = processes();
    if (!listsAllProcesses(pids)) this.unreadable++;
    for (const pid of pids) {
      if (pid === this.#except) continue;
      const table = DescriptorTable.open(pid);
      if (table === "unreadable") this.unreadable++;
      else if (table !== null) this.#tables.push(table);
    }
  }

  readFirst(pids: readonly number[]): void {
    for (const table of this.#tables) {
      if (pids.includes(table.pid)) this.#readRest(table);
    }
  }

  readEverything(): void {
    for (const table of this.#tables) this.#readRest(table);
  }

  /** Reads block by block, until every socket has a holder. Returns false when that takes too many reads. */
  readUntilFound(mostReads: number): boolean {
    const isLikely = ({ uid }: DescriptorTable) => this.#uids.has(uid);
    let reads = 0;
    for (const table of [...this.#tables.filter(isLikely), ...this.#tables.filter((table) => !isLikely(table))]) {
      for (; !table.exhausted && this.remaining > 0; reads += BLOCK) {
        if (reads > mostReads) return false;
        table.readBlock(this.#recordIn(table));
      }
    }
    return true;
  }

  readThreads(): void {
    for (const { pid, unreadable } of this.#tables) {
      if (!unreadable) { for (const table of threadTables(pid)) this.#readRest(table); }
    }
  }

  /**
   * Finds holders among the parents, children and siblings of holders. A forked process has the same descriptors under the
   * same numbers, so the numbers that a holder has are looked up in the tables of its relatives that were not read to the
   * end.
   */
  checkForkedRelatives(): void {
    const unread = this.#tables.filter((table) => !table.exhausted);
    if (unread.length === 0) return;
    const found = [...this.#holders].flatMap(([inode, owners]) =>
      (owners ?? []).map(({ pid, fd }) => ({ pid, fd, inode }))
    );
    const heldBy = Map.groupBy(found, ({ pid }) => pid);
    const parents = new Map([...heldBy.keys(), ...unread.map(({ pid }) => pid)].map((pid) => [pid, parent(pid)]));
    for (const [holder, held] of heldBy) {
      const step = Math.max(1, Math.floor(held.length / SHARED_SAMPLE));
      const sample = held.filter((_, i) => i % step === 0);
      for (const table of unread) {
        if (table.pid === holder || !areRelated(table.pid, holder, parents)) continue;
        if (table.holds(sample).length === 0) continue;
        for (const { fd, inode } of table.holds(held)) this.#record(table, fd, inode);
      }
    }
  }

  #readRest(table: DescriptorTable): void {
    table.readRest(this.#recordIn(table));
  }

  #recordIn(table: DescriptorTable): (fd: ForeignFd, inode: SocketInode) => void {
    return (fd, inode) => this.#holders.has(inode) && this.#record(table, fd, inode);
  }

  #record({ pid, tid }: DescriptorTable, fd: ForeignFd, inode: SocketInode): void {
    let name = this.#names.get(pid);
    if (name === undefined) this.#names.set(pid, name = comm(pid));
    this.#add(ownerOf({ pid, tid, fd, comm: name }), inode);
  }

  #add(owner: Owner, inode: SocketInode): void {
    const owners = this.#holders.get(inode);
    if (owners) {
      const { pid, tid, fd } = owner;
      if (owners.some((known) => known.pid === pid && known.tid === tid && known.fd === fd)) return;
      if (owners.length < MAX_OWNERS) owners.push(owner);
      else this.leftOut.set(inode, (this.leftOut.get(inode) ?? 0) + 1);
    } else {
      this.#holders.set(inode, [owner]);
      this.#found++;
    }
  }
}

/** Whether one process is the other's parent, or both have the same parent. Children of init are not related. */
function areRelated(a: number, b: number, parents: ReadonlyMap<number, number>): boolean {
  const [parentOfA, parentOfB] = [parents.get(a), parents.get(b)];
  return parentOfA === b || parentOfB === a || (parentOfA === parentOfB && parentOfA !== 1 && parentOfA !== 0);
}

/** Returns the tables of the threads that have unshared their descriptors. They are rare, and finding them is expensive. */
export function threadTables(pid: number): DescriptorTable[] {
  return threads(pid).filter((tid) => tid !== pid && !sharesTable(pid, tid))
    .map((tid) => DescriptorTable.open(pid, tid))
    .filter((table) => table !== null && table !== "unreadable");
}

function sharesTable(pid: number, tid: number): boolean {
  // Without kcmp(2) (CONFIG_KCMP, CAP_SYS_PTRACE) the thread is taken to share the table, as nearly all do.
  return withFallback(true, () => shareDescriptors(pid, tid));
}
