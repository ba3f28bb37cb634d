// Lists every socket that given processes hold.

import type { SocketInode } from "../model/ids.ts";
import type { SocketFile } from "../bpf/task_file.ts";
import type { Owner } from "../model/connection.ts";
import { MAX_OWNERS, threadTables } from "./find_owners.ts";
import { comm } from "../linux/proc/process.ts";
import { DescriptorTable } from "../linux/proc/fd_table.ts";
import { iterateSocketFiles, ownerOf, type Way } from "./socket_files.ts";

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
  if (files === null) return readTables(tables);
  const owners: Owners = new Map();
  for (const file of files) addOwner(owners, file);
  return { owners, unreadable: [] };
}

type Owners = Map<SocketInode, Owner[]>;

function addOwner(owners: Owners, file: SocketFile): void {
  const known = owners.get(file.inode);
  if (known === undefined) owners.set(file.inode, [ownerOf(file)]);
  else if (known.length < MAX_OWNERS) known.push(ownerOf(file));
}

function readTables(tables: ReadonlyMap<number, DescriptorTable | null | "unreadable">): Holdings {
  const owners: Owners = new Map();
  const unreadable: number[] = [];
  for (const [pid, table] of tables) {
    if (table === "unreadable") unreadable.push(pid);
    if (table === "unreadable" || table === null) continue;
    let name: string | undefined;
    for (const part of [table, ...threadTables(pid)]) {
      part.readRest((fd, inode) => addOwner(owners, { pid, tid: part.tid, fd, inode, comm: name ??= comm(pid) }));
    }
    if (table.unreadable) unreadable.push(pid);
  }
  return { owners, unreadable };
}
