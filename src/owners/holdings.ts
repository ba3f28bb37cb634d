// What certain processes hold: every socket of theirs, whichever it is.

import type { Owner } from "../connection.ts";
import { sharesTable } from "./find.ts";
import { comm, threads } from "./proc.ts";
import { DescriptorTable } from "./table.ts";

/** The sockets of some processes. */
export interface Holdings {
  /** Who of them holds each inode. */
  readonly owners: Map<number, Owner[]>;
  /** Those that this user may not look into. */
  readonly unreadable: number[];
}

/** Reads the descriptors of processes wholly, those included that a thread has to itself. */
export function holdingsOf(pids: readonly number[]): Holdings {
  return new Survey(pids).finish();
}

/** The sockets of some processes, read a little at a time. */
export class Survey implements Holdings {
  readonly owners = new Map<number, Owner[]>();
  readonly unreadable: number[] = [];
  readonly #reading: Iterator<void>;

  constructor(pids: readonly number[]) {
    this.#reading = this.#read(pids);
  }

  /** Reads on. Returns whether there is more. */
  step(): boolean {
    return !this.#reading.next().done;
  }

  /** Reads what is left. */
  finish(): Holdings {
    while (this.step());
    return this;
  }

  *#read(pids: readonly number[]): Generator<void> {
    for (const pid of pids) {
      const table = DescriptorTable.open(pid);
      if (table === "unreadable") this.unreadable.push(pid);
      if (table === "unreadable" || table === null) continue;
      let name: string | undefined;
      for (const one of [table, ...threadTables(pid)]) {
        while (!one.exhausted) {
          one.readBlock((fd, inode) => {
            name ??= comm(pid);
            this.#add(inode, one.tid === null ? { pid, fd, comm: name } : { pid, tid: one.tid, fd, comm: name });
            return true;
          });
          yield;
        }
      }
      if (table.denied) this.unreadable.push(pid);
    }
  }

  #add(inode: number, owner: Owner): void {
    const known = this.owners.get(inode);
    if (known) known.push(owner);
    else this.owners.set(inode, [owner]);
  }
}

/** The tables of those threads that have unshared their descriptors. */
function threadTables(pid: number): DescriptorTable[] {
  return threads(pid).filter((tid) => tid !== pid && !sharesTable(pid, tid))
    .map((tid) => DescriptorTable.open(pid, tid))
    .filter((table) => table !== null && table !== "unreadable");
}
