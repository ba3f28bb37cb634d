// Choosing connections by the processes that hold them: the sockets of those processes are read first, and then the kernel
// is asked for connections, so that a connection that others hold too is found as surely as any.

import type { Owner } from "./connection.ts";
import { type Holdings, holdingsOf } from "./owners/holdings.ts";
import { missingToLook } from "./owners/permission.ts";
import { self } from "./owners/proc.ts";
import { Census, type Process, ProcessFilter } from "./owners/who.ts";
import type { Target } from "./selection/selection.ts";

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
  #hiddenPrograms = 0;
  #verified = false;
  /** tcphup's own descriptors are duplicates of what others hold. */
  readonly #self = self();

  private constructor(chosen: ProcessFilter | null, excluded: ProcessFilter | null) {
    this.#chosen = chosen;
    this.#excluded = excluded;
  }

  /** null for a selection to which the holders do not matter. */
  static of({ heldBy, notHeldBy, children }: Target): HolderFilter | null {
    if (heldBy === undefined && notHeldBy === undefined) return null;
    return new HolderFilter(
      heldBy ? new ProcessFilter(heldBy, { children }) : null,
      notHeldBy ? new ProcessFilter(notHeldBy, { children }) : null,
    );
  }

  /**
   * The sockets that are chosen now. Without anything that chooses processes, all that are not excluded do: what no
   * process holds, or one that may not be looked into, is never chosen, since nobody can say whose it is.
   *
   * @throws {UsageError} When a process, cgroup or container is not there, the first time.
   */
  look(): Chosen {
    const census = new Census();
    if (!this.#verified) this.#verify(census);
    const excluded = new Set(this.#excluded?.matching(census) ?? []);
    const chosen = (this.#chosen?.matching(census) ?? census.all).filter((process) =>
      !excluded.has(process) && process.pid !== this.#self
    );
    this.#hiddenPrograms = census.all.filter(({ exeIsHidden }) => exeIsHidden).length;
    const { owners } = this.#read(chosen, this.#chosen !== null);
    for (const inode of this.#read([...excluded], true).owners.keys()) owners.delete(inode);
    return { owners };
  }

  #verify(census: Census): void {
    this.#chosen?.verify(census);
    this.#excluded?.verify(census);
    this.#verified = true;
  }

  #read(processes: readonly Process[], named: boolean): Holdings {
    const holdings = holdingsOf(processes.map(({ pid }) => pid));
    const unreadable = new Set(named ? holdings.unreadable : []);
    for (const { pid, comm } of processes) if (unreadable.has(pid)) this.#unread.set(pid, comm);
    return holdings;
  }

  /** Why connections may have been missed. */
  get unseen(): string[] {
    if (this.#unread.size + this.#hiddenPrograms === 0) return [];
    const reason = missingToLook() ?? "not even with CAP_SYS_PTRACE";
    const unseen = [...this.#unread].map(([pid, comm]) => `process ${pid} (${comm}) may not be looked into: ${reason}`);
    if (this.#hiddenPrograms === 0) return unseen;
    const processes = this.#hiddenPrograms === 1 ? "1 process" : `${this.#hiddenPrograms} processes`;
    return [...unseen, `which program runs in ${processes} may not be known: ${reason}`];
  }
}
