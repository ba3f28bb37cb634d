// Ends one connection: shutdown(2) on a duplicate of its owner's descriptor, or an abort by SOCK_DESTROY.

import { isSyscallError, type SyscallError } from "../../ffi/errno.ts";
import { AF_INET, IPPROTO_TCP } from "../../ffi/socket.ts";
import { isAvoided, isUnresponsive, noteConnection } from "../../ffi/progress.ts";
import { recordOutcome, unanswered } from "../front/journal.ts";
import type { SockId } from "../linux/netlink/inet_diag.ts";
import type { SockDiag } from "../linux/netlink/sock_diag.ts";
import { NetnsError } from "../linux/netns/enter.ts";
import { explainProcDenied, hasCapability } from "../linux/proc/permissions.ts";
import { type Connection, handleOf, identityOf, type Owner } from "../model/connection.ts";
import type { Outcome, Reasons, Result, Target } from "../model/result.ts";
import { INTERRUPTED } from "../report/report.ts";
import { DUMPS_BEFORE_GONE } from "../select/selector.ts";
import { sockIdOf } from "../select/sockets.ts";
import { type Duplicate, PidfdCache, type ShutdownOptions } from "../socket/duplicate.ts";
import { type Proof, proofOf, type StateLookup } from "../socket/proof.ts";
import { ENDED, ownerName, type Refusal, refusalText, UNRESPONSIVE, withDuplicate } from "../socket/with_duplicate.ts";
import { mayEndInError, restoreEndOfFile } from "./end_of_file.ts";
import { destroyOwnOrphan, isDestroyFixed, isOrphan, WOULD_STAY } from "./orphans.ts";

/** Gives a connection its result, and records it in the journal. */
export function setOutcome<O extends Outcome>(
  target: Target,
  outcome: O,
  reason: Reasons[O],
  message: string | null = null,
): void {
  target.result = { outcome, reason, message } as Result;
  recordOutcome(target);
}

/** Leaves a connection alone because this end has sent its FIN before. */
export function skipHungUp(target: Target): void {
  const message = `already hung up: in ${target.connection.state}${adviceFor(target.connection)}`;
  setOutcome(target, "already-gone", "closing", message);
}

/** Leaves an attempt to connect alone, since its next SYN may be answered. */
export function skipConnecting(target: Target): void {
  setOutcome(target, "skipped", "connecting", "a connect attempt, left to its next SYN");
}

/** Leaves a subflow of an MPTCP connection alone. */
export function skipSubflow(target: Target, subflowOf: string): void {
  const message = `a subflow of the MPTCP connection to ${subflowOf}, which was not selected`;
  setOutcome(target, "skipped", "subflow", message);
}

/**
 * Returns advice for a connection that does not end. In FIN-WAIT-2 no data is in flight, so no timer ends the
 * connection while its application holds it.
 */
export function adviceFor({ state, inode }: Connection): string {
  return state === "FIN-WAIT-2" && inode !== 0 ? "; only destroying it ends it" : "";
}

/**
 * The end of an attempt to hang up.
 * - `done`: the connection has its result.
 * - `owners-lost`: no known owner holds the connection any more, or all of them fail for the moment; then `trouble` says
 *   why. The owners have to be looked up again.
 * - `busy`: the connection is not idle, for the reason given.
 */
export type HangUpAttempt = "done" | "owners-lost" | { readonly busy: string };

/** Hangs up on connections whose owners are known, or aborts them. */
export class Disconnector {
  readonly #shutdownOptions: ShutdownOptions;
  readonly #lookUp: StateLookup;
  readonly #pidfds: PidfdCache;
  /** The MPTCP connections that could not be destroyed, each with the outcome that it had before. */
  readonly #undestroyedMptcp = new WeakMap<Target, Outcome | undefined>();
  #areOrphansKept: boolean | undefined;

  constructor(shutdownOptions: ShutdownOptions, lookUp: StateLookup) {
    this.#shutdownOptions = shutdownOptions;
    this.#lookUp = lookUp;
    this.#pidfds = new PidfdCache(lookUp);
  }

  /**
   * Shuts a connection down through the first owner whose descriptor can be duplicated.
   *
   * @param idleMs Shuts down only a connection that has no data in flight and has carried none for so long.
   */
  hangUp(target: Target, idleMs?: number): HangUpAttempt {
    const used = withDuplicate(this.#pidfds, target, (duplicate, owner) => {
      return this.#shutDown(target, duplicate, owner, idleMs);
    });
    target.trouble = null;
    if (used === null) return "owners-lost";
    if ("value" in used) return used.value;
    if (used.transient) {
      target.trouble = refusalText(used);
      return "owners-lost";
    }
    setOutcome(target, used.outcome, used.reason, refusalText(used));
    return "done";
  }

  #shutDown(target: Target, duplicate: Duplicate, owner: Owner, idleMs?: number): HangUpAttempt {
    try {
      const result = idleMs === undefined
        ? duplicate.hangUp(this.#shutdownOptions)
        : duplicate.hangUpIfIdle(idleMs, this.#shutdownOptions);
      if (result === "already-gone") setOutcome(target, result, "gone", ENDED);
      else if ("busy" in result) return result;
      // The application reads end-of-file now, but the connection stays in FIN-WAIT-2.
      else if (target.connection.state === "FIN-WAIT-2") skipHungUp(target);
      else if (result.trouble === null) setOutcome(target, "hung-up", null);
      else setOutcome(target, "hung-up", "error", failure(owner, result.trouble));
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      setOutcome(target, "failed", "error", failure(owner, error));
    }
    return "done";
  }

  /**
   * Has the application read end-of-file from a connection that was hung up on and has ended since, in place of an error.
   *
   * @returns `false` when the connection has not ended yet.
   */
  restoreEndOfFile(target: Target): boolean {
    return !this.#readsEndOfFile(target) || restoreEndOfFile(this.#pidfds, target);
  }

  /** Tells whether a hang-up has the application read end-of-file. */
  #readsEndOfFile({ connection, result }: Target): boolean {
    return result?.outcome === "hung-up" && !this.#shutdownOptions.finOnly && mayEndInError(connection);
  }

  /**
   * Aborts a connection with SOCK_DESTROY, or through a duplicate where SOCK_DESTROY is refused. Leaves the result as
   * it is when the connection is no longer in the state in which it was selected.
   *
   * @returns `true` when no known owner holds the connection any more, so that an attempt with its present owners may
   * succeed.
   */
  destroy(target: Target, diag: SockDiag): boolean {
    const { connection } = target;
    if (isUnresponsive(handleOf(connection)) || isAvoided(connection.uid)) {
      failUnresponsive(target);
      return false;
    }
    const wasHungUp = this.#readsEndOfFile(target);
    // While a duplicate is held, the connection cannot become an orphan.
    const used = withDuplicate(this.#pidfds, target, (duplicate) => {
      const refusal = sockDestroy(target, diag);
      if (refusal !== null) abort(target, duplicate, refusal);
      else if (wasHungUp) duplicate.takeError();
    });
    return (used === null || "outcome" in used) && this.#destroyWithoutDuplicate(target, used, diag);
  }

  /** @param why The refusal of a duplicate; null when no owner holds the connection. */
  #destroyWithoutDuplicate(target: Target, why: Refusal | null, diag: SockDiag): boolean {
    const { connection } = target;
    const hasEnded = why?.outcome === "already-gone";
    if (connection.protocol === "mptcp" && !hasEnded) return this.#setMptcpOutcome(target, why);
    const proof = hasEnded ? "ended" : this.#proofOf(connection);
    if (proof === "ended") setGone(target);
    if (proof !== "connection") return false;
    const wouldStay = isOrphan(connection) && this.#orphansStay();
    const refusal = wouldStay ? WOULD_STAY : sockDestroy(target, diag);
    if (refusal !== null) explainNoDuplicate(target, why, refusal);
    return refusal !== null && why === null && connection.inode !== 0;
  }

  /**
   * Records that an MPTCP connection was not destroyed for want of a duplicate. `setOutcomeOfGoneMptcp` corrects this
   * later.
   */
  #setMptcpOutcome(target: Target, why: Refusal | null): boolean {
    const { state, inode } = target.connection;
    // A connection listed in SYN-SENT may be established by now. It is then found again as such.
    if (why === null && state === "SYN-SENT" && target.result === null) return false;
    if (!this.#undestroyedMptcp.has(target)) this.#undestroyedMptcp.set(target, target.result?.outcome);
    explainNoDuplicate(target, why, NOT_FOR_MPTCP);
    return why === null && inode !== 0;
  }

  /**
   * Corrects the outcomes of MPTCP connections that could not be destroyed and have gone since. SOCK_DESTROY, which
   * reports a gone TCP connection, does not know MPTCP. A dump of the sockets answers for all of them at once.
   *
   * @param remaining Returns the given connections that the kernel still lists.
   */
  setOutcomeOfGoneMptcp(
    targets: Iterable<Target>,
    remaining: (some: Iterable<Connection>) => Connection[],
  ): void {
    const isUndestroyed = (target: Target) =>
      this.#undestroyedMptcp.has(target) && ["unsupported", "denied"].includes(target.result!.outcome);
    const undestroyed = [...targets].filter(isUndestroyed);
    const present = new Set<string>();
    for (let dump = 1; dump <= DUMPS_BEFORE_GONE && present.size < undestroyed.length; dump++) {
      for (const connection of remaining(undestroyed.map((one) => one.connection))) present.add(identityOf(connection));
    }
    for (const target of undestroyed) {
      if (present.has(identityOf(target.connection))) continue;
      if (this.#undestroyedMptcp.get(target) === "hung-up") setOutcome(target, "hung-up", null);
      else setOutcome(target, "already-gone", "gone", ENDED);
    }
  }

  /**
   * Looks up what a connection without a duplicate is now. SOCK_DESTROY finds a socket by its ends and compares the
   * cookie. It therefore spares a socket that was connected anew, but not one that listens on the local end by now.
   */
  #proofOf(connection: Connection): Proof {
    try {
      return proofOf(connection.state, this.#lookUp(connection));
    } catch (error) {
      // SOCK_DESTROY fails with the same error, and reports it.
      if (isSyscallError(error)) return "connection";
      throw error;
    }
  }

  /**
   * Tells whether SOCK_DESTROY would leave an orphan behind. EPERM and EOPNOTSUPP are left to sockDestroy(), which
   * reports them.
   */
  #orphansStay(): boolean {
    if (this.#areOrphansKept !== undefined) return this.#areOrphansKept;
    try {
      return this.#areOrphansKept = !isDestroyFixed() && !destroyOwnOrphan();
    } catch (error) {
      return !isSyscallError(error);
    }
  }

  close(): void {
    this.#pidfds.close();
  }
}

const ANY = [0, 0, 0, 0] as const;
/** An id that belongs to no socket. */
const NO_SOCKET: SockId = { family: AF_INET, sport: 0, dport: 0, src: ANY, dst: ANY, interface: 0, cookie: 1n };

/** Explains, before anything is touched, why SOCK_DESTROY may not end orphans. Returns null where it ends them. */
export function whyOrphansMayStay(diag: SockDiag): string | null {
  if (!hasCapability("CAP_NET_ADMIN")) return NEEDS_CAPABILITY;
  try {
    diag.destroy(IPPROTO_TCP, NO_SOCKET);
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    if (error.code === "EPERM" || error.code === "EOPNOTSUPP") return explainDestroyError(error);
  }
  return isDestroyFixed() ? null : WOULD_STAY;
}

const NEEDS_CAPABILITY = "SOCK_DESTROY needs CAP_NET_ADMIN";
/** The reason why SOCK_DESTROY is not tried on an MPTCP connection. */
export const NOT_FOR_MPTCP = "SOCK_DESTROY cannot end MPTCP";

function explainDestroyError(error: SyscallError): string {
  if (error.code === "EPERM") return NEEDS_CAPABILITY;
  if (error.code === "EOPNOTSUPP") return "SOCK_DESTROY needs a kernel with CONFIG_INET_DIAG_DESTROY";
  return error.message;
}

/**
 * Destroys a connection with SOCK_DESTROY. Returns null when it is done, else the reason why SOCK_DESTROY cannot do it.
 */
function sockDestroy(target: Target, diag: SockDiag): string | null {
  const { connection, owners } = target;
  if (connection.protocol === "mptcp") return NOT_FOR_MPTCP;
  try {
    noteConnection(handleOf(connection), owners[0]?.pid ?? 0);
    diag.destroy(IPPROTO_TCP, sockIdOf(connection));
    setOutcome(target, "destroyed", null);
    return null;
  } catch (error) {
    if (isSyscallError(error, "ENOENT")) {
      setGone(target);
      return null;
    }
    if (error instanceof NetnsError) return error.message;
    if (!isSyscallError(error)) throw error;
    return explainDestroyError(error);
  }
}

/** Sets the outcome of a connection that has gone. A connection that was hung up on before ended because of that. */
function setGone(target: Target): void {
  if (target.result?.outcome !== "hung-up") setOutcome(target, "already-gone", "gone", ENDED);
}

function abort(target: Target, duplicate: Duplicate, refusal: string): void {
  try {
    duplicate.abort();
    setOutcome(target, "destroyed", null);
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    const message = `${refusal}; ${error.message}`;
    if (error.code === "EOPNOTSUPP") setOutcome(target, "unsupported", "not-supported", message);
    else setOutcome(target, "failed", "error", message);
  }
}

/**
 * Sets the outcome of a connection that SOCK_DESTROY did not end and of which there is no duplicate.
 *
 * @param why The refusal of a duplicate; null when no owner holds the connection.
 */
function explainNoDuplicate(target: Target, why: Refusal | null, refusal: string): void {
  if (why !== null) return setOutcome(target, why.outcome, why.reason, `${refusal}; ${refusalText(why)}`);
  const missing = target.connection.inode === 0 ? null : explainProcDenied();
  const instead = missing === null
    ? "no process holds it whose descriptor could be used instead"
    : `looking for its owner ${missing}`;
  const message = `${refusal}, and ${instead}`;
  if (!hasCapability("CAP_NET_ADMIN")) return setOutcome(target, "denied", "not-permitted", message);
  const kind = refusal === NOT_FOR_MPTCP ? "mptcp" : refusal === WOULD_STAY ? "orphan" : "not-supported";
  setOutcome(target, "unsupported", kind, message);
}

function failure(owner: Owner, error: SyscallError): string {
  return `${ownerName(owner)}: ${error.message}`;
}

/** Sets the outcome of a connection whose owner is blocked in the kernel. */
function failUnresponsive(target: Target): void {
  setOutcome(target, "failed", "unresponsive", `its owner ${UNRESPONSIVE}`);
}

/**
 * Gives a result to a connection that was not reached.
 *
 * @param error The error that ended the run; null when it was interrupted.
 */
export function explainNotReached(target: Target, error: string | null): void {
  if (isUnresponsive(handleOf(target.connection))) failUnresponsive(target);
  else if (error === null) setOutcome(target, "skipped", "interrupted", INTERRUPTED);
  else setOutcome(target, "failed", "not-reached", `not reached: ${error}`);
}

/** The most attempts to find an owner of one connection. */
const MAX_OWNER_ATTEMPTS = 3;

/**
 * Counts a vain attempt to find an owner. Returns `true` when there is to be another one; else the connection has its
 * outcome.
 *
 * @param mayChange Whether a later attempt may succeed however many there were.
 */
export function retriesOwner(target: Target, mayChange: boolean, unreadable: number): boolean {
  if (++target.ownerAttempts < MAX_OWNER_ATTEMPTS || mayChange) return true;
  explainNoOwner(target, unreadable);
  return false;
}

/**
 * Sets the outcome of a connection whose owner was not found, or could not be asked. In the second case `trouble` says why.
 *
 * @param unreadable Number of processes whose descriptors could not be read.
 */
export function explainNoOwner(target: Target, unreadable: number): void {
  const { connection: { inode, uid }, owners, trouble } = target;
  if (trouble !== null) return setOutcome(target, "failed", "resources", trouble);
  if (inode === 0) return setOutcome(target, "no-owner", "not-accepted", "not yet accepted by the application");
  const [owner] = owners;
  if (owner !== undefined) {
    const message = `${ownerName(owner)} opens and closes it too fast to follow`;
    return setOutcome(target, "failed", "owner-changes", message);
  }
  const blocked = unanswered();
  if (blocked.length > 0) {
    const others = blocked.length > 1 ? `, and ${blocked.length - 1} more such` : "";
    const message = `no process that answers holds it; ${blocked[0]}${others}`;
    return setOutcome(target, "failed", "unresponsive", message);
  }
  const missing = unreadable > 0 ? explainProcDenied() : null;
  if (missing !== null) {
    const message = `a process of uid ${uid} that may not be looked into: ${missing}`;
    return setOutcome(target, "denied", "not-permitted", message);
  }
  const where = unreadable > 0 ? ` (${unreadable} could not be looked into)` : "";
  const others = "io_uring or a process of another PID namespace may";
  setOutcome(target, "no-owner", "no-owner", `no process in this /proc holds it${where}; ${others}`);
}
