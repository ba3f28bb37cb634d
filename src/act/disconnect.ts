// The third room of the pipeline: hang up on a connection, or abort it.

import { isSyscallError, type SyscallError } from "../../ffi/errno.ts";
import { AF_INET, IPPROTO_TCP } from "../../ffi/socket.ts";
import { isAvoided, isUnresponsive, noteConnection } from "../../ffi/progress.ts";
import { recordOutcome, unanswered } from "../front/journal.ts";
import type { SockId } from "../linux/netlink/inet_diag.ts";
import type { SockDiag } from "../linux/netlink/sock_diag.ts";
import { NetnsError } from "../linux/netns/enter.ts";
import { explainProcDenied, hasCapability } from "../linux/proc/permissions.ts";
import { type Connection, handleOf, identityOf, type Outcome, type Owner } from "../model/connection.ts";
import { sockIdOf } from "../select/sockets.ts";
import { type Duplicate, PidfdCache, type ShutdownOptions } from "../socket/duplicate.ts";
import { type LookUp, type Proof, proofOf } from "../socket/proof.ts";
import { explainDuplicateError, type Refusal, UNRESPONSIVE } from "../socket/with_duplicate.ts";
import { destroyOwnOrphan, destroyRemovesOrphans, isOrphan, WOULD_STAY } from "./orphans.ts";

/** Says what became of a connection. */
export function setOutcome(connection: Connection, outcome: Outcome, error: string | null = null): void {
  connection.outcome = outcome;
  connection.error = error;
  recordOutcome(connection);
}

/** Why a connection is gone without our doing. */
export const ENDED = "ended by itself";

/** Why a connection is left as it is whose FIN was sent before. */
export function hungUpBefore(connection: Connection): string {
  return `already hung up: in ${connection.state}${whatEnds(connection)}`;
}

/**
 * What there is to be done about a connection that does not go. In FIN-WAIT-2 nothing is under way, so that no timer ends it
 * for as long as its application holds it.
 */
export function whatEnds({ state, inode }: Connection): string {
  return state === "FIN-WAIT-2" && inode !== 0 ? "; only --destroy ends it" : "";
}

const GONE: Refusal = { outcome: "already-gone", error: ENDED };

/** A duplicate, and whose descriptor it is one of. */
interface OwnedDuplicate {
  readonly duplicate: Duplicate;
  readonly owner: Owner;
}

/**
 * What an attempt to hang up came to: an outcome is in the connection; none of its owners holds it any more, so that they
 * have to be looked for again, or none can be asked just now, which its `error` says; or it is not idle, and why.
 */
export type HangUpResult = "settled" | "owners-lost" | { readonly busy: string };

/** Acts on connections whose owners are known. */
export class Disconnector {
  readonly #shutdownOptions: ShutdownOptions;
  readonly #lookUp: LookUp;
  readonly #pidfds: PidfdCache;
  /** The MPTCP connections that could not be destroyed, and the outcomes that they had before. */
  readonly #undestroyedMptcp = new WeakMap<Connection, Outcome | null>();
  #keepsOrphans: boolean | undefined;

  constructor(shutdownOptions: ShutdownOptions, lookUp: LookUp) {
    this.#shutdownOptions = shutdownOptions;
    this.#lookUp = lookUp;
    this.#pidfds = new PidfdCache(lookUp);
  }

  /**
   * Shuts a connection down through the first owner whose descriptor may be opened.
   *
   * @param idle_ms Only when nothing is under way on it and nothing was for so long.
   */
  hangUp(connection: Connection, idle_ms?: number): HangUpResult {
    const owned = this.#openDuplicate(connection);
    connection.error = null;
    if (owned === null) return "owners-lost";
    if ("error" in owned) {
      connection.error = owned.error;
      if (owned.transient) return "owners-lost";
      setOutcome(connection, owned.outcome, owned.error);
      return "settled";
    }
    try {
      return this.#shutDown(connection, owned, idle_ms);
    } finally {
      owned.duplicate.close();
    }
  }

  #shutDown(connection: Connection, { duplicate, owner }: OwnedDuplicate, idle_ms?: number): HangUpResult {
    try {
      const done = idle_ms === undefined
        ? duplicate.hangUp(this.#shutdownOptions)
        : duplicate.hangUpIfIdle(idle_ms, this.#shutdownOptions);
      if (done === "already-gone") setOutcome(connection, done, ENDED);
      else if ("busy" in done) return done;
      // Its application reads end-of-file now, but the connection stays.
      else if (connection.state === "FIN-WAIT-2") setOutcome(connection, "already-gone", hungUpBefore(connection));
      else setOutcome(connection, "hung-up", done.trouble && failure(owner, done.trouble));
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      setOutcome(connection, "failed", failure(owner, error));
    }
    return "settled";
  }

  /**
   * Aborts a connection: with SOCK_DESTROY, or where that is not to be had through a duplicate. Leaves the outcome as it is
   * when the connection is no longer in the state in which it was selected.
   *
   * @returns Whether it may be done when its holders are looked for again: none of those that are known holds it any more.
   */
  destroy(connection: Connection, diag: SockDiag): boolean {
    if (isUnresponsive(handleOf(connection)) || isAvoided(connection.uid)) {
      setOutcome(connection, "failed", `its owner ${UNRESPONSIVE}`);
      return false;
    }
    // With a duplicate it cannot become an orphan while it is seen to.
    const owned = this.#openDuplicate(connection);
    if (owned === null || "error" in owned) return this.#destroyUnowned(connection, owned, diag);
    try {
      const refusal = refusesDestroy(connection, diag);
      if (refusal !== null) abort(connection, owned.duplicate, refusal);
    } finally {
      owned.duplicate.close();
    }
    return false;
  }

  /** @param why What refused a duplicate; null when there was none to take. */
  #destroyUnowned(connection: Connection, why: Refusal | null, diag: SockDiag): boolean {
    if (connection.protocol === "mptcp" && why !== GONE) return this.#setMptcpOutcome(connection, why);
    const proof = why === GONE ? "ended" : this.#proofOf(connection);
    if (proof === "ended") setGone(connection);
    if (proof !== "connection") return false;
    const wouldStay = isOrphan(connection) && this.#orphansStay();
    const refusal = wouldStay ? WOULD_STAY : refusesDestroy(connection, diag);
    if (refusal !== null) explainNoDuplicate(connection, why, refusal);
    return refusal !== null && why === null && connection.inode !== 0;
  }

  /** An MPTCP connection cannot be ended without a duplicate. Whether it is still there, `setOutcomeOfGoneMptcp` finds out. */
  #setMptcpOutcome(connection: Connection, why: Refusal | null): boolean {
    // What was being opened may be open by now: it is looked for again as that.
    if (why === null && connection.state === "SYN-SENT" && connection.outcome === null) return false;
    if (!this.#undestroyedMptcp.has(connection)) this.#undestroyedMptcp.set(connection, connection.outcome);
    explainNoDuplicate(connection, why, NOT_FOR_MPTCP);
    return why === null && connection.inode !== 0;
  }

  /**
   * Says of MPTCP connections that could not be destroyed when they have gone. The kernel has no answer for one of them, as
   * SOCK_DESTROY is for TCP: it takes a list, which is one for all.
   *
   * @param remaining Finds those that are still there.
   */
  setOutcomeOfGoneMptcp(
    connections: Iterable<Connection>,
    remaining: (some: Iterable<Connection>) => Connection[],
  ): void {
    const isLeft = ({ outcome }: Connection) => outcome === "unsupported" || outcome === "denied";
    const doubtful = [...connections].filter((connection) =>
      this.#undestroyedMptcp.has(connection) && isLeft(connection)
    );
    const there = new Set<string>();
    // A list of sockets that come and go may miss one, so it takes two to say that a connection is gone.
    for (let list = 1; list <= 2 && there.size < doubtful.length; list++) {
      for (const connection of remaining(doubtful)) there.add(identityOf(connection));
    }
    for (const connection of doubtful) {
      if (there.has(identityOf(connection))) continue;
      if (this.#undestroyedMptcp.get(connection) === "hung-up") setOutcome(connection, "hung-up");
      else setOutcome(connection, "already-gone", ENDED);
    }
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

  /** Whether SOCK_DESTROY keeps orphans. Where it is not to be had at all, it says so itself. */
  #orphansStay(): boolean {
    if (this.#keepsOrphans !== undefined) return this.#keepsOrphans;
    try {
      return this.#keepsOrphans = !destroyRemovesOrphans() && !destroyOwnOrphan();
    } catch (error) {
      return !isSyscallError(error);
    }
  }

  /** A verified duplicate, what refused it, or null when none of the owners holds the socket any more. */
  #openDuplicate(connection: Connection): OwnedDuplicate | Refusal | null {
    let refusal: Refusal | null = null;
    for (const owner of connection.owners) {
      try {
        const duplicate = this.#duplicate(connection, owner);
        if (duplicate === "ended") return GONE;
        if (duplicate) return { duplicate, owner };
      } catch (error) {
        if (!isSyscallError(error)) throw error;
        const refused = explainDuplicateError(error);
        refusal ??= { ...refused, error: `${ownerName(owner)}: ${refused.error}` };
      }
    }
    return refusal;
  }

  #duplicate(connection: Connection, owner: Owner): Duplicate | "ended" | null {
    try {
      return this.#pidfds.duplicate(connection, owner);
    } catch (error) {
      if (!isSyscallError(error, "EMFILE", "ENFILE")) throw error;
      this.#pidfds.close();
      return this.#pidfds.duplicate(connection, owner);
    }
  }

  close(): void {
    this.#pidfds.close();
  }
}

const ANY = [0, 0, 0, 0] as const;
/** An id that no socket has. */
const NOBODY: SockId = { family: AF_INET, sport: 0, dport: 0, src: ANY, dst: ANY, interface: 0, cookie: 1n };

/** Why SOCK_DESTROY may not end what its program has closed, as far as can be said before; null where it does. */
export function whyOrphansMayStay(diag: SockDiag): string | null {
  if (!hasCapability("CAP_NET_ADMIN")) return NEEDS_CAPABILITY;
  try {
    diag.destroy(IPPROTO_TCP, NOBODY);
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    if (error.code === "EPERM" || error.code === "EOPNOTSUPP") return refusalToDestroy(error);
  }
  return destroyRemovesOrphans() ? null : WOULD_STAY;
}

const NEEDS_CAPABILITY = "SOCK_DESTROY needs CAP_NET_ADMIN";
/** Why SOCK_DESTROY is not asked for. */
export const NOT_FOR_MPTCP = "SOCK_DESTROY cannot end MPTCP";

function refusalToDestroy(error: SyscallError): string {
  if (error.code === "EPERM") return NEEDS_CAPABILITY;
  if (error.code === "EOPNOTSUPP") return "SOCK_DESTROY needs a kernel with CONFIG_INET_DIAG_DESTROY";
  return error.message;
}

/** SOCK_DESTROY. Returns null when it is done, else why it could not be done this way. */
function refusesDestroy(connection: Connection, diag: SockDiag): string | null {
  if (connection.protocol === "mptcp") return NOT_FOR_MPTCP;
  try {
    noteConnection(handleOf(connection), connection.owners[0]?.pid ?? 0);
    diag.destroy(IPPROTO_TCP, sockIdOf(connection));
    setOutcome(connection, "destroyed");
    return null;
  } catch (error) {
    if (isSyscallError(error, "ENOENT")) {
      setGone(connection);
      return null;
    }
    if (error instanceof NetnsError) return error.message;
    if (!isSyscallError(error)) throw error;
    return refusalToDestroy(error);
  }
}

/** What was hung up on has ended because of that. */
function setGone(connection: Connection): void {
  if (connection.outcome !== "hung-up") setOutcome(connection, "already-gone", ENDED);
}

function abort(connection: Connection, duplicate: Duplicate, refusal: string): void {
  try {
    duplicate.abort();
    setOutcome(connection, "destroyed");
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    setOutcome(connection, error.code === "EOPNOTSUPP" ? "unsupported" : "failed", `${refusal}; ${error.message}`);
  }
}

/** @param why What refused a duplicate; null when there was none to take. */
function explainNoDuplicate(connection: Connection, why: Refusal | null, refusal: string): void {
  if (why !== null) return setOutcome(connection, why.outcome, `${refusal}; ${why.error}`);
  const outcome = hasCapability("CAP_NET_ADMIN") ? "unsupported" : "denied";
  const missing = connection.inode === 0 ? null : explainProcDenied();
  const instead = missing === null
    ? "no process holds it whose descriptor could be used instead"
    : `looking for its owner ${missing}`;
  setOutcome(connection, outcome, `${refusal}, and ${instead}`);
}

function failure(owner: Owner, error: SyscallError): string {
  return `${ownerName(owner)}: ${error.message}`;
}

/** An owner, as messages name it. */
export function ownerName({ pid, comm }: Owner): string {
  return `pid ${pid} (${comm})`;
}

/**
 * Gives a connection the outcome that it has when its holder was looked for in vain, or could not be asked: then its `error`
 * says why.
 *
 * @param unreadable How many processes could not be looked into.
 */
export function explainNoOwner(connection: Connection, unreadable: number): void {
  const { inode, uid, owners, error } = connection;
  if (error !== null) return setOutcome(connection, "failed", error);
  if (inode === 0) return setOutcome(connection, "no-owner", "not yet accepted by the application");
  if (owners.length > 0) {
    return setOutcome(connection, "failed", `${ownerName(owners[0])} opens and closes it too fast to follow`);
  }
  const stuck = unanswered();
  if (stuck.length > 0) {
    const others = stuck.length > 1 ? `, and ${stuck.length - 1} more such` : "";
    return setOutcome(connection, "failed", `no process that answers holds it; ${stuck[0]}${others}`);
  }
  const missing = unreadable > 0 ? explainProcDenied() : null;
  if (missing !== null) {
    return setOutcome(connection, "denied", `a process of uid ${uid} that may not be looked into: ${missing}`);
  }
  const where = unreadable > 0 ? ` (${unreadable} could not be looked into)` : "";
  const others = "io_uring or a process of another PID namespace may";
  setOutcome(connection, "no-owner", `no process in this /proc holds it${where}; ${others}`);
}
