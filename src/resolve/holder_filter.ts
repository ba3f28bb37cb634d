// Choosing connections by the processes that hold them: the sockets of those processes are read first, and then the kernel
// is asked for connections, so that a connection that others hold too is found as surely as any.

import type { Owner } from "../model/connection.ts";
import { findOwners, type Wanted } from "./find_owners.ts";
import { type Holdings, holdingsOf } from "./sockets_of.ts";
import { explainProcDenied } from "../linux/proc/permissions.ts";
import { self } from "../linux/proc/process.ts";
import { type Process, ProcessFilter, ProcessSnapshot } from "./processes.ts";
import type { CompiledSelection } from "../select/criteria.ts";

/** How many of the processes that may not be looked into are named. */
const MAX_NAMED = 5;

/** Which sockets are chosen. */
export interface Chosen {
  /** Those of the chosen processes that none of the excluded ones holds, by inode, and who of the chosen does. */
  readonly owners: ReadonlyMap<number, Owner[]>;
}

/** Looks for the sockets of processes. */
export class HolderFilter {
  readonly #chosen: ProcessFilter | null;
  readonly #excluded: ProcessFilter | null;
  readonly #unread = new Map<number, string>();
  /** Those whose program was asked for at the last look, and may not be known. */
  #withUnreadableExe: readonly number[] = [];
  #unknownPrograms = 0;
  /** Whether there are processes that nothing may be known of. */
  #missesProcesses = false;
  #hiddenHolders = false;
  #verified = false;
  /** tcphup's own descriptors are duplicates of what others hold. */
  readonly #self = self();

  private constructor(chosen: ProcessFilter | null, excluded: ProcessFilter | null) {
    this.#chosen = chosen;
    this.#excluded = excluded;
  }

  /** null for a selection to which the holders do not matter. */
  static of({ heldBy, notHeldBy, ...options }: CompiledSelection): HolderFilter | null {
    if (heldBy === undefined && notHeldBy === undefined) return null;
    return new HolderFilter(
      heldBy ? new ProcessFilter(heldBy, options) : null,
      notHeldBy ? new ProcessFilter(notHeldBy, options) : null,
    );
  }

  /**
   * The sockets that are chosen now. Without anything that chooses processes, all that are not excluded do: what no
   * process holds, or one that may not be looked into, is never chosen, since nobody can say whose it is.
   *
   * @throws {UsageError} When a process, cgroup or container is not there, the first time.
   */
  look(): Chosen {
    const snapshot = new ProcessSnapshot();
    if (!this.#verified) this.#verify(snapshot);
    const excluded = new Set(this.#excluded?.matching(snapshot) ?? []);
    const chosen = (this.#chosen?.matching(snapshot) ?? snapshot.all).filter((process) =>
      !excluded.has(process) && process.pid !== this.#self
    );
    this.#missesProcesses = !snapshot.isComplete;
    this.#withUnreadableExe = snapshot.all.filter(({ exeIsUnreadable }) => exeIsUnreadable).map(({ pid }) => pid);
    const { owners } = this.#read(chosen, this.#chosen !== null);
    for (const inode of this.#read([...excluded], true).owners.keys()) owners.delete(inode);
    return { owners };
  }

  /** Whether `judge` is to be told after the last look what it left out. */
  get needsReview(): boolean {
    return this.#withUnreadableExe.length > 0 || this.#missesProcesses;
  }

  /**
   * Finds out how many of the processes whose program may not be known could hold something that they should be asked for:
   * of those that may be looked into, what they do hold counts, of the others, what nobody else is seen to hold. So it is
   * with processes that nothing may be known of.
   *
   * @param leftOut What would be selected if the right process held it.
   */
  countPossiblyMissed(leftOut: readonly Wanted[]): void {
    this.#unknownPrograms = 0;
    this.#hiddenHolders = false;
    if (leftOut.length === 0) return;
    const inodes = new Set(leftOut.map(({ inode }) => inode));
    const unreadable = new Set(holdingsOf(this.#withUnreadableExe).unreadable);
    const readable = this.#withUnreadableExe.filter((pid) => !unreadable.has(pid));
    this.#unknownPrograms = readable.filter((pid) => holdsOneOf(pid, inodes)).length;
    if (unreadable.size === 0 && !this.#missesProcesses) return;
    const { owners } = findOwners(leftOut);
    if (leftOut.every(({ inode }) => owners.has(inode))) return;
    this.#unknownPrograms += unreadable.size;
    this.#hiddenHolders = this.#missesProcesses;
  }

  #verify(snapshot: ProcessSnapshot): void {
    this.#chosen?.verify(snapshot);
    this.#excluded?.verify(snapshot);
    this.#verified = true;
  }

  #read(processes: readonly Process[], named: boolean): Holdings {
    const holdings = holdingsOf(processes.map(({ pid }) => pid));
    const unreadable = new Set(named ? holdings.unreadable : []);
    for (const { pid, comm } of processes) if (unreadable.has(pid)) this.#unread.set(pid, comm);
    return holdings;
  }

  /** Why connections may have been missed. */
  get incomplete(): string[] {
    const reason = explainProcDenied() ?? "not even with CAP_SYS_PTRACE";
    const incomplete = [...this.#unread].slice(0, MAX_NAMED).map(([pid, comm]) => {
      return `process ${pid} (${comm}) may not be looked into: ${reason}`;
    });
    if (this.#unread.size > MAX_NAMED) {
      incomplete.push(`${this.#unread.size - MAX_NAMED} more processes may not be looked into: ${reason}`);
    }
    if (this.#unknownPrograms > 0) {
      const processes = this.#unknownPrograms === 1 ? "1 process" : `${this.#unknownPrograms} processes`;
      incomplete.push(`which program runs in ${processes} may not be known: ${reason}`);
    }
    if (this.#hiddenHolders) incomplete.push(`/proc hides processes that may hold what matches (hidepid): ${reason}`);
    return incomplete;
  }
}

function holdsOneOf(pid: number, inodes: ReadonlySet<number>): boolean {
  return [...holdingsOf([pid]).owners.keys()].some((inode) => inodes.has(inode));
}
