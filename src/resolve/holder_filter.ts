// Selects connections by the processes that hold them. The sockets of those processes are read before the kernel lists
// connections, so that a connection that other processes hold too is found as well.

import type { SocketInode } from "../model/ids.ts";
import type { Owner } from "../model/connection.ts";
import { counted } from "../model/wording.ts";
import { findOwners, type Wanted } from "./find_owners.ts";
import { holdingsOf } from "./sockets_of.ts";
import { explainProcDenied } from "../linux/proc/permissions.ts";
import { self } from "../linux/proc/process.ts";
import { type Process, ProcessFilter, ProcessSnapshot } from "./processes.ts";
import type { CompiledSelection } from "../select/compile_selection.ts";

/** The most unreadable processes that are named. */
const MAX_NAMED = 5;

/** Finds the sockets that chosen processes hold. */
export class HolderFilter {
  readonly #chosen: ProcessFilter | null;
  readonly #excluded: ProcessFilter | null;
  readonly #unread = new Map<number, string>();
  /** The processes whose /proc/PID/exe could not be read at the last look. */
  #withUnreadableExe: readonly number[] = [];
  #unknownPrograms = 0;
  /** Whether /proc hid processes at the last look. */
  #missesProcesses = false;
  #hiddenHolders = false;
  #verified = false;
  /** tcphup itself, which is never a holder: its descriptors are duplicates of those of others. */
  readonly #self = self();

  constructor({ heldBy, notHeldBy, ...options }: CompiledSelection) {
    this.#chosen = heldBy ? new ProcessFilter(heldBy, options) : null;
    this.#excluded = notHeldBy ? new ProcessFilter(notHeldBy, { ...options, path: "not." }) : null;
  }

  /**
   * Returns the sockets that are selected now, each with the chosen processes that hold it: those that a chosen process
   * holds and no excluded process does. When the selection only excludes processes, all others are chosen. A socket that no
   * process holds, or only an unreadable one, is never selected, since its holder is unknown.
   *
   * @throws {UsageError} When a process, cgroup or container does not exist, at the first call.
   */
  look(): ReadonlyMap<SocketInode, readonly Owner[]> {
    const snapshot = new ProcessSnapshot();
    if (!this.#verified) {
      this.#chosen?.verify(snapshot);
      this.#excluded?.verify(snapshot);
      this.#verified = true;
    }
    const excluded = new Set(this.#excluded?.matching(snapshot) ?? []);
    const chosen = (this.#chosen?.matching(snapshot) ?? snapshot.all).filter((process) =>
      !excluded.has(process) && process.pid !== this.#self
    );
    this.#missesProcesses = !snapshot.isComplete;
    this.#withUnreadableExe = snapshot.all.filter(({ exeIsUnreadable }) => exeIsUnreadable).map(({ pid }) => pid);
    const owners = this.#read(chosen, this.#chosen !== null);
    for (const inode of this.#read([...excluded], true).keys()) owners.delete(inode);
    return owners;
  }

  /** Whether `countPossiblyMissed` has to get the sockets that the last look left out. */
  get needsReview(): boolean {
    return this.#withUnreadableExe.length > 0 || this.#missesProcesses;
  }

  /**
   * Counts the processes with an unreadable /proc/PID/exe that may hold a socket of `leftOut`. A process with readable
   * descriptors counts when it holds one. A process with unreadable descriptors counts when a socket has no other holder,
   * and so do processes that /proc hides.
   *
   * @param leftOut The sockets that match but for their holders.
   */
  countPossiblyMissed(leftOut: readonly Wanted[]): void {
    this.#unknownPrograms = 0;
    this.#hiddenHolders = false;
    if (leftOut.length === 0) return;
    const inodes = new Set(leftOut.map(({ inode }) => inode));
    const unreadable = new Set(holdingsOf(this.#withUnreadableExe).unreadable);
    const readable = this.#withUnreadableExe.filter((pid) => !unreadable.has(pid));
    const holdsOne = (pid: number) => [...holdingsOf([pid]).owners.keys()].some((inode) => inodes.has(inode));
    this.#unknownPrograms = readable.filter(holdsOne).length;
    if (unreadable.size === 0 && !this.#missesProcesses) return;
    const { owners } = findOwners(leftOut);
    if (leftOut.every(({ inode }) => owners.has(inode))) return;
    this.#unknownPrograms += unreadable.size;
    this.#hiddenHolders = this.#missesProcesses;
  }

  /** Returns the sockets of processes. @param named Whether the selection names them, so that none may be unreadable. */
  #read(processes: readonly Process[], named: boolean): Map<SocketInode, Owner[]> {
    const { owners, unreadable } = holdingsOf(processes.map(({ pid }) => pid));
    const unread = new Set(named ? unreadable : []);
    for (const { pid, comm } of processes) if (unread.has(pid)) this.#unread.set(pid, comm);
    return owners;
  }

  /** The reasons why connections may have been missed. */
  get incomplete(): string[] {
    const reason = explainProcDenied() ?? "not even with CAP_SYS_PTRACE";
    const incomplete = [...this.#unread].slice(0, MAX_NAMED).map(([pid, comm]) => {
      return `process ${pid} (${comm}) may not be looked into: ${reason}`;
    });
    if (this.#unread.size > MAX_NAMED) {
      const more = counted(this.#unread.size - MAX_NAMED, "more process", "more processes");
      incomplete.push(`${more} may not be looked into: ${reason}`);
    }
    if (this.#unknownPrograms > 0) {
      const processes = counted(this.#unknownPrograms, "process", "processes");
      incomplete.push(`which program runs in ${processes} may not be known: ${reason}`);
    }
    if (this.#hiddenHolders) incomplete.push(`/proc hides processes that may hold what matches (hidepid): ${reason}`);
    return incomplete;
  }
}
