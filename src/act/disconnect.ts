// Ends one connection: shutdown(2) on a duplicate of its owner's descriptor, or an abort by SOCK_DESTROY.

import { withOpen } from "../../ffi/closing.ts";
import { isSyscallError, type SyscallError } from "../../ffi/errno.ts";
import { avoidedUsers, isUnresponsive } from "../../ffi/progress.ts";
import { AF_INET, IPPROTO_TCP, SOCK_STREAM, socket } from "../../ffi/socket.ts";
import type { SockDiag } from "../linux/netlink/sock_diag.ts";
import { NetnsError } from "../linux/netns/enter.ts";
import { explainProcDenied, hasCapability } from "../linux/proc/permissions.ts";
import { type Connection, handleOf, identityOf, type Owner } from "../model/connection.ts";
import type { Outcome, Target } from "../model/result.ts";
import { DUMPS_BEFORE_GONE } from "../select/selector.ts";
import { Duplicate, PidfdCache, type ShutdownOptions } from "../socket/duplicate.ts";
import { type Proof, proofOf, type StateLookup } from "../socket/proof.ts";
import { ENDED, ownerName, type Refusal, refusalText, withDuplicate } from "../socket/with_duplicate.ts";
import { mayEndInError, restoreEndOfFile } from "./end_of_file.ts";
import { isOrphan } from "./exclusions.ts";
import { failUnresponsive, setGone, setOutcome, skipHungUp } from "./outcomes.ts";
import { destroyOwnOrphan, isDestroyFixed, NOT_FOR_MPTCP, sockDestroy, WOULD_STAY } from "./sock_destroy.ts";

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
  #isRehearsed = false;

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
    this.#rehearse(target, idleMs);
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

  /**
   * Goes once through what follows the proof, with a socket of our own that is not connected. What a runtime calls for the
   * first time it compiles then. With the first connection that took longer than all calls together, and meanwhile its
   * application may have connected the socket to another peer.
   */
  #rehearse(target: Target, idleMs?: number): void {
    const [owner] = target.owners;
    if (this.#isRehearsed || owner === undefined) return;
    this.#isRehearsed = true;
    try {
      const unconnected = new Duplicate(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP), "tcp");
      withOpen(unconnected, () => this.#shutDown({ ...target, place: null }, unconnected, owner, idleMs));
    } catch (error) {
      if (!isSyscallError(error)) throw error;
    }
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
    if (isUnresponsive(handleOf(connection)) || avoidedUsers.has(connection.uid)) {
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
  setOutcomeOfGoneMptcp(targets: Iterable<Target>, remaining: (some: Iterable<Connection>) => Connection[]): void {
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
      if (isSyscallError(error) || error instanceof NetnsError) return "connection";
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
