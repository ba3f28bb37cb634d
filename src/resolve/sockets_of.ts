// Lists every socket that given processes hold.

import type { SocketInode } from "../model/ids.ts";
import type { ForeignFd } from "../../ffi/fd.ts";
import type { Owner } from "../model/connection.ts";
import { MAX_OWNERS, sharesTable } from "./find_owners.ts";
import { comm, threads } from "../linux/proc/process.ts";
import { DescriptorTable } from "../linux/proc/fd_table.ts";

/** The sockets of some processes. */
export interface Holdings {
  /** The holders of each inode among them. */
  readonly owners: Map<SocketInode, Owner[]>;
  /** The processes that this user may not read. */
  readonly unreadable: number[];
}

/** Reads all descriptors of processes, with those of threads that have unshared their table. */
export function holdingsOf(pids: readonly number[]): Holdings {
  const owners = new Map<SocketInode, Owner[]>();
  const unreadable: number[] = [];
  for (const pid of pids) {
    const table = DescriptorTable.open(pid);
    if (table === "unreadable") unreadable.push(pid);
    if (table === "unreadable" || table === null) continue;
    let name: string | undefined;
    const held = [table, ...threadTables(pid)].flatMap(readWholly);
    if (table.unreadable) unreadable.push(pid);
    for (const { tid, ...holder } of held) {
      name ??= comm(pid);
      const owner = tid === null ? { pid, fd: holder.fd, comm: name } : { pid, tid, fd: holder.fd, comm: name };
      const known = owners.get(holder.inode);
      if (known && known.length < MAX_OWNERS) known.push(owner);
      else if (!known) owners.set(holder.inode, [owner]);
    }
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
    table.readBlock((fd, inode) => held.push({ tid: table.tid, fd, inode }) > 0);
  }
  return held;
}

/** Returns the tables of the threads that have unshared their descriptors. */
function threadTables(pid: number): DescriptorTable[] {
  return threads(pid).filter((tid) => tid !== pid && !sharesTable(pid, tid))
    .map((tid) => DescriptorTable.open(pid, tid))
    .filter((table) => table !== null && table !== "unreadable");
}
