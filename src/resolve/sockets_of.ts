// Lists every socket that given processes hold.

import type { ForeignFd, SocketInode } from "../model/ids.ts";
import type { SocketFile } from "../bpf/task_file.ts";
import type { Owner } from "../model/connection.ts";
import { MAX_OWNERS, sharesTable } from "./find_owners.ts";
import { comm, threads } from "../linux/proc/process.ts";
import { DescriptorTable } from "../linux/proc/fd_table.ts";
import { iterateSocketFiles, type Way } from "./socket_files.ts";

/** The sockets of some processes. */
export interface Holdings {
  /** The holders of each inode among them. */
  readonly owners: Map<SocketInode, Owner[]>;
  /** The processes that this user may not read. */
  readonly unreadable: number[];
}

/** Finds all sockets of processes, with those of threads that have unshared their table of descriptors. */
export function holdingsOf(pids: readonly number[], way?: Way): Holdings {
  const tables = new Map(pids.map((pid) => [pid, DescriptorTable.open(pid)]));
  const sizes = [...tables.values()].map((table) => table === null || table === "unreadable" ? 0 : table.size);
  const atLeast = sizes.reduce((sum, size) => sum + size, 0);
  const files = pids.length === 0 ? [] : iterateSocketFiles("pid", pids, { atLeast, way });
  return files === null ? readTables(tables) : holdingsIn(files);
}

function holdingsIn(files: readonly SocketFile[]): Holdings {
  const owners: Owners = new Map();
  for (const { pid, tid, fd, inode, comm } of files) addOwner(owners, inode, { pid, tid, fd, comm });
  return { owners, unreadable: [] };
}

type Owners = Map<SocketInode, Owner[]>;

function addOwner(
  owners: Owners,
  inode: SocketInode,
  { tid, ...rest }: Omit<Owner, "tid"> & { tid: number | null },
): void {
  const { pid, fd, comm } = rest;
  const owner = tid === null ? { pid, fd, comm } : { pid, tid, fd, comm };
  const known = owners.get(inode);
  if (known === undefined) owners.set(inode, [owner]);
  else if (known.length < MAX_OWNERS) known.push(owner);
}

function readTables(tables: ReadonlyMap<number, DescriptorTable | null | "unreadable">): Holdings {
  const owners: Owners = new Map();
  const unreadable: number[] = [];
  for (const [pid, table] of tables) {
    if (table === "unreadable") unreadable.push(pid);
    if (table === "unreadable" || table === null) continue;
    let name: string | undefined;
    const held = [table, ...threadTables(pid)].flatMap(readWholly);
    if (table.unreadable) unreadable.push(pid);
    for (const { tid, fd, inode } of held) addOwner(owners, inode, { pid, tid, fd, comm: name ??= comm(pid) });
  }
  return { owners, unreadable };
}

interface Held {
  readonly tid: number | null;
  readonly fd: ForeignFd;
  readonly inode: SocketInode;
}

function readWholly(table: DescriptorTable): Held[] {
  const held: Held[] = [];
  while (!table.exhausted) {
    table.readBlock((fd, inode) => held.push({ tid: table.tid, fd, inode }));
  }
  return held;
}

/** Returns the tables of the threads that have unshared their descriptors. */
function threadTables(pid: number): DescriptorTable[] {
  return threads(pid).filter((tid) => tid !== pid && !sharesTable(pid, tid))
    .map((tid) => DescriptorTable.open(pid, tid))
    .filter((table) => table !== null && table !== "unreadable");
}
