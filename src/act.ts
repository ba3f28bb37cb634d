// The third room of the pipeline: hang up on a connection, or abort it.

import { IPPROTO_TCP, isSyscallError, type SyscallError } from "../ffi/libc.ts";
import { aboutConnection, isAvoided, isUnresponsive } from "../ffi/progress.ts";
import { type Connection, handleOf, type Outcome, type Owner } from "./connection.ts";
import { type Duplicate, type Manner, Processes } from "./duplicate/duplicate.ts";
import { type LookUp, type Proof, proofOf } from "./duplicate/proof.ts";
import { recordOutcome } from "./front/journal.ts";
import { NotEntered } from "./netns/enter.ts";
import { destroysOrphans, isOrphan, WOULD_STAY } from "./orphans.ts";
import { hasCapability, missingToLook } from "./owners/permission.ts";
import { descriptorLimit } from "./owners/proc.ts";
import { type Refusal, refusalOf, UNRESPONSIVE } from "./refusal.ts";
import { sockIdOf } from "./sockdiag/connection.ts";
import type { SockDiag } from "./sockdiag/sock_diag.ts";

/** Says what became of a connection. */
export function settle(connection: Connection, outcome: Outcome, error: string | null = null): void {
  connection.outcome = outcome;
  connection.error = error;
  recordOutcome(connection);
}

/** Why a connection is gone without our doing. */
export const ENDED = "ended by itself";

const GONE: Refusal = { outcome: "already-gone", error: ENDED };

/** A duplicate, and whose descriptor it is one of. */
interface Taken {
  readonly duplicate: Duplicate;
  readonly owner: Owner;
}

/** How to act. */
export interface ActorOptions extends Manner {
  /** Keep the duplicates, so that what has no owner any more can still be aborted. */
  readonly hold: boolean;
}

/**
 * What an attempt to hang up came to: an outcome is in the connection; none of its owners holds it any more, so that they
 * have to be looked for again, or none can be asked just now, which its `error` says; or it is not idle, and why.
 */
export type Attempt = "settled" | "stale" | { readonly busy: string };

/** Acts on connections whose owners are known. */
export class Actor {
  readonly #manner: Manner;
  readonly #lookUp: LookUp;
  readonly #processes: Processes;
  readonly #held = new Map<Connection, Duplicate>();
  /** The highest number that a held descriptor may have: half are left to who looks for connections and owners. */
  readonly #highest = descriptorLimit() / 2;
  #hold: boolean;
  #orphansGo: boolean | null = null;

  constructor({ hold, ...manner }: ActorOptions, lookUp: LookUp) {
    this.#lookUp = lookUp;
    this.#processes = new Processes(lookUp);
    this.#manner = manner;
    this.#hold = hold;
  }

  /**
   * Shuts a connection down through the first owner whose descriptor may be opened.
   *
   * @param idle_ms Only when nothing is under way on it and nothing was for so long.
   */
  hangUp(connection: Connection, idle_ms?: number): Attempt {
    const taken = this.#take(connection);
    connection.error = null;
    if (taken === null) return "stale";
    if ("error" in taken) {
      connection.error = taken.error;
      if (taken.passing) return "stale";
      settle(connection, taken.outcome, taken.error);
      return "settled";
    }
    try {
      return this.#shutDown(connection, taken, idle_ms);
    } finally {
      if (this.#hold && connection.outcome === "hung-up") this.#keep(connection, taken.duplicate);
      else taken.duplicate.close();
    }
  }

  #shutDown(connection: Connection, { duplicate, owner }: Taken, idle_ms?: number): Attempt {
    try {
      const done = idle_ms === undefined
        ? duplicate.hangUp(this.#manner)
        : duplicate.hangUpIfIdle(idle_ms, this.#manner);
      if (done === "already-gone") settle(connection, done, ENDED);
      else if ("busy" in done) return done;
      else settle(connection, "hung-up", done.trouble && failure(owner, done.trouble));
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      settle(connection, "failed", failure(owner, error));
    }
    return "settled";
  }

  /** Holding is a convenience for later. Where descriptors run out, those that are needed now matter more. */
  #keep(connection: Connection, duplicate: Duplicate): void {
    this.#held.set(connection, duplicate);
    if (duplicate.descriptor.number > this.#highest) this.#holdNoMore();
  }

  #holdNoMore(): void {
    this.#hold = false;
    this.releaseHeld();
  }

  /**
   * Aborts a connection: with SOCK_DESTROY, or where that is not to be had through a duplicate. Leaves the outcome as it is
   * when the connection is no longer in the state in which it was selected.
   */
  destroy(connection: Connection, diag: SockDiag): void {
    if (isUnresponsive(handleOf(connection)) || isAvoided(connection.uid)) {
      return settle(connection, "failed", `its holder ${UNRESPONSIVE}`);
    }
    const held = this.#held.get(connection);
    // Held, it cannot become an orphan while it is seen to.
    const taken = held ? { duplicate: held } : this.#take(connection);
    if (taken !== null && "duplicate" in taken) {
      try {
        const refusal = refusesDestroy(connection, diag);
        if (refusal !== null) abort(connection, taken.duplicate, refusal);
      } finally {
        taken.duplicate.close();
        this.#held.delete(connection);
      }
    } else this.#destroyUntaken(connection, taken, diag);
  }

  /** @param why What refused a duplicate; null when there was none to take. */
  #destroyUntaken(connection: Connection, why: Refusal | null, diag: SockDiag): void {
    const proof = why === GONE ? "ended" : this.#proofOf(connection);
    if (proof === "ended") settleGone(connection);
    if (proof !== "connection") return;
    const wouldStay = isOrphan(connection) && !this.#mayDestroyOrphans();
    const refusal = wouldStay ? WOULD_STAY : refusesDestroy(connection, diag);
    if (refusal !== null) settleUntaken(connection, why, refusal);
  }

  /**
   * What has become of a connection of which there is no duplicate. SOCK_DESTROY finds a socket by its ends and compares the
   * cookie, so it does not find one that was connected anew; but one that listens on the local end by now it does.
   */
  #proofOf(connection: Connection): Proof {
    try {
      return proofOf(connection.state, this.#lookUp(connection));
    } catch (error) {
      // SOCK_DESTROY will say it.
      if (isSyscallError(error)) return "connection";
      throw error;
    }
  }

  /** Where SOCK_DESTROY is not to be had at all, it will say so itself. */
  #mayDestroyOrphans(): boolean {
    try {
      return this.#orphansGo ??= destroysOrphans();
    } catch (error) {
      return isSyscallError(error, "EPERM", "EOPNOTSUPP");
    }
  }

  /** A verified duplicate, what refused it, or null when none of the owners holds the socket any more. */
  #take(connection: Connection): Taken | Refusal | null {
    let refusal: Refusal | null = null;
    for (const owner of connection.owners) {
      try {
        const duplicate = this.#duplicate(connection, owner);
        if (duplicate === "ended") return GONE;
        if (duplicate) return { duplicate, owner };
      } catch (error) {
        if (!isSyscallError(error)) throw error;
        const refused = refusalOf(error);
        refusal ??= { ...refused, error: `${ownerName(owner)}: ${refused.error}` };
      }
    }
    return refusal;
  }

  #duplicate(connection: Connection, owner: Owner): Duplicate | "ended" | null {
    try {
      return this.#processes.duplicate(connection, owner);
    } catch (error) {
      if (!isSyscallError(error, "EMFILE", "ENFILE")) throw error;
      this.#holdNoMore();
      this.#processes.close();
      return this.#processes.duplicate(connection, owner);
    }
  }

  /** Closes the duplicate of a connection, if it is held. The connection lives on, or ends, without us. */
  release(connection: Connection): void {
    this.#held.get(connection)?.close();
    this.#held.delete(connection);
  }

  /** Closes all duplicates that are held. */
  releaseHeld(): void {
    for (const duplicate of this.#held.values()) duplicate.close();
    this.#held.clear();
  }

  close(): void {
    this.releaseHeld();
    this.#processes.close();
  }
}

/** SOCK_DESTROY. Returns null when it is done, else why it could not be done this way. */
function refusesDestroy(connection: Connection, diag: SockDiag): string | null {
  if (connection.protocol === "mptcp") return "SOCK_DESTROY cannot end MPTCP";
  try {
    aboutConnection(handleOf(connection), connection.owners[0]?.pid ?? 0);
    diag.destroy(IPPROTO_TCP, sockIdOf(connection));
    settle(connection, "destroyed");
    return null;
  } catch (error) {
    if (isSyscallError(error, "ENOENT") || (error instanceof NotEntered && error.reason === "gone")) {
      settleGone(connection);
      return null;
    }
    if (!isSyscallError(error)) throw error;
    if (error.code === "EPERM") return "SOCK_DESTROY needs CAP_NET_ADMIN";
    if (error.code === "EOPNOTSUPP") return "SOCK_DESTROY needs a kernel with CONFIG_INET_DIAG_DESTROY";
    return error.message;
  }
}

/** What was hung up on has ended because of that. */
function settleGone(connection: Connection): void {
  if (connection.outcome !== "hung-up") settle(connection, "already-gone", ENDED);
}

function abort(connection: Connection, duplicate: Duplicate, refusal: string): void {
  try {
    duplicate.abort();
    settle(connection, "destroyed");
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    settle(connection, error.code === "EOPNOTSUPP" ? "unsupported" : "failed", `${refusal}; ${error.message}`);
  }
}

/** @param why What refused a duplicate; null when there was none to take. */
function settleUntaken(connection: Connection, why: Refusal | null, refusal: string): void {
  if (why !== null) return settle(connection, why.outcome, `${refusal}; ${why.error}`);
  const outcome = hasCapability("CAP_NET_ADMIN") ? "unsupported" : "denied";
  const missing = connection.inode === 0 ? null : missingToLook();
  const instead = missing === null
    ? "no process holds it whose descriptor could be used instead"
    : `looking for its holder ${missing}`;
  settle(connection, outcome, `${refusal}, and ${instead}`);
}

function failure(owner: Owner, error: SyscallError): string {
  return `${ownerName(owner)}: ${error.message}`;
}

/** An owner, as messages name it. */
export function ownerName({ pid, comm }: Owner): string {
  return `pid ${pid} (${comm})`;
}
