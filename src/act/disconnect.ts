// Ends one connection: shutdown(2) on a duplicate of its owner's descriptor, or an abort by SOCK_DESTROY.

import { isSyscallError, type SyscallError } from "../../ffi/errno.ts";
import { AF_INET, IPPROTO_TCP } from "../../ffi/socket.ts";
import { isAvoided, isUnresponsive, noteConnection } from "../../ffi/progress.ts";
import { recordOutcome, unanswered } from "../front/journal.ts";
import type { SockId } from "../linux/netlink/inet_diag.ts";
import type { SockDiag } from "../linux/netlink/sock_diag.ts";
import { NetnsError } from "../linux/netns/enter.ts";
import { explainProcDenied, hasCapability } from "../linux/proc/permissions.ts";
import { type Connection, handleOf, identityOf, type Outcome, type Owner } from "../model/connection.ts";
import { DUMPS_BEFORE_GONE } from "../select/selector.ts";
import { sockIdOf } from "../select/sockets.ts";
import { type Duplicate, PidfdCache, type ShutdownOptions } from "../socket/duplicate.ts";
import { type Proof, proofOf, type StateLookup } from "../socket/proof.ts";
import { explainDuplicateError, type Refusal, UNRESPONSIVE } from "../socket/with_duplicate.ts";
import { destroyOwnOrphan, isDestroyFixed, isOrphan, WOULD_STAY } from "./orphans.ts";

/** Gives a connection its outcome, and records it in the journal. */
export function setOutcome(connection: Connection, outcome: Outcome, error: string | null = null): void {
  connection.outcome = outcome;
  connection.error = error;
  recordOutcome(connection);
}

/** The reason given for a connection that ended before it was touched. */
export const ENDED = "ended by itself";

/** Explains that a connection is left alone because its FIN was sent before. */
export function explainHungUpBefore(connection: Connection): string {
  return `already hung up: in ${connection.state}${adviceFor(connection)}`;
}

/**
 * Returns advice for a connection that does not end. In FIN-WAIT-2 no data is in flight, so no timer ends the
 * connection while its application holds it.
 */
export function adviceFor({ state, inode }: Connection): string {
  return state === "FIN-WAIT-2" && inode !== 0 ? "; only --destroy ends it" : "";
}

const GONE: Refusal = { outcome: "already-gone", error: ENDED };

/** A duplicate, and the owner whose descriptor it was taken from. */
interface OwnedDuplicate {
  readonly duplicate: Duplicate;
  readonly owner: Owner;
}

/**
 * The result of an attempt to hang up.
 * - `done`: the connection has its outcome.
 * - `owners-lost`: no known owner holds the connection any more, or all of them fail for the moment; then the
 *   connection's `error` says why. The owners have to be looked up again.
 * - `busy`: the connection is not idle, for the reason given.
 */
export type HangUpResult = "done" | "owners-lost" | { readonly busy: string };

/** Hangs up on connections whose owners are known, or aborts them. */
export class Disconnector {
  readonly #shutdownOptions: ShutdownOptions;
  readonly #lookUp: StateLookup;
  readonly #pidfds: PidfdCache;
  /** The MPTCP connections that could not be destroyed, each with the outcome that it had before. */
  readonly #undestroyedMptcp = new WeakMap<Connection, Outcome | null>();
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
  hangUp(connection: Connection, idleMs?: number): HangUpResult {
    const owned = this.#openDuplicate(connection);
    connection.error = null;
    if (owned === null) return "owners-lost";
    if ("error" in owned) {
      connection.error = owned.error;
      if (owned.transient) return "owners-lost";
      setOutcome(connection, owned.outcome, owned.error);
      return "done";
    }
    try {
      return this.#shutDown(connection, owned, idleMs);
    } finally {
      owned.duplicate.close();
    }
  }

  #shutDown(connection: Connection, { duplicate, owner }: OwnedDuplicate, idleMs?: number): HangUpResult {
    try {
      const result = idleMs === undefined
        ? duplicate.hangUp(this.#shutdownOptions)
        : duplicate.hangUpIfIdle(idleMs, this.#shutdownOptions);
      if (result === "already-gone") setOutcome(connection, result, ENDED);
      else if ("busy" in result) return result;
      // The application reads end-of-file now, but the connection stays in FIN-WAIT-2.
      else if (connection.state === "FIN-WAIT-2") {
        setOutcome(connection, "already-gone", explainHungUpBefore(connection));
      } else setOutcome(connection, "hung-up", result.trouble && failure(owner, result.trouble));
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      setOutcome(connection, "failed", failure(owner, error));
    }
    return "done";
  }

  /**
   * Aborts a connection with SOCK_DESTROY, or through a duplicate where SOCK_DESTROY is refused. Leaves the outcome as
   * it is when the connection is no longer in the state in which it was selected.
   *
   * @returns `true` when no known owner holds the connection any more, so that an attempt with its present owners may
   * succeed.
   */
  destroy(connection: Connection, diag: SockDiag): boolean {
    if (isUnresponsive(handleOf(connection)) || isAvoided(connection.uid)) {
      setOutcome(connection, "failed", `its owner ${UNRESPONSIVE}`);
      return false;
    }
    // While a duplicate is held, the connection cannot become an orphan.
    const owned = this.#openDuplicate(connection);
    if (owned === null || "error" in owned) return this.#destroyWithoutDuplicate(connection, owned, diag);
    try {
      const refusal = sockDestroy(connection, diag);
      if (refusal !== null) abort(connection, owned.duplicate, refusal);
    } finally {
      owned.duplicate.close();
    }
    return false;
  }

  /** @param why The refusal of a duplicate; null when no owner holds the connection. */
  #destroyWithoutDuplicate(connection: Connection, why: Refusal | null, diag: SockDiag): boolean {
    if (connection.protocol === "mptcp" && why !== GONE) return this.#setMptcpOutcome(connection, why);
    const proof = why === GONE ? "ended" : this.#proofOf(connection);
    if (proof === "ended") setGone(connection);
    if (proof !== "connection") return false;
    const wouldStay = isOrphan(connection) && this.#orphansStay();
    const refusal = wouldStay ? WOULD_STAY : sockDestroy(connection, diag);
    if (refusal !== null) explainNoDuplicate(connection, why, refusal);
    return refusal !== null && why === null && connection.inode !== 0;
  }

  /**
   * Records that an MPTCP connection was not destroyed for want of a duplicate. `setOutcomeOfGoneMptcp` corrects this
   * later.
   */
  #setMptcpOutcome(connection: Connection, why: Refusal | null): boolean {
    // A connection listed in SYN-SENT may be established by now. It is then found again as such.
    if (why === null && connection.state === "SYN-SENT" && connection.outcome === null) return false;
    if (!this.#undestroyedMptcp.has(connection)) this.#undestroyedMptcp.set(connection, connection.outcome);
    explainNoDuplicate(connection, why, NOT_FOR_MPTCP);
    return why === null && connection.inode !== 0;
  }

  /**
   * Corrects the outcomes of MPTCP connections that could not be destroyed and have gone since. SOCK_DESTROY, which
   * reports a gone TCP connection, does not know MPTCP. A dump of the sockets answers for all of them at once.
   *
   * @param remaining Returns the given connections that the kernel still lists.
   */
  setOutcomeOfGoneMptcp(
    connections: Iterable<Connection>,
    remaining: (some: Iterable<Connection>) => Connection[],
  ): void {
    const isUndestroyed = ({ outcome }: Connection) => outcome === "unsupported" || outcome === "denied";
    const undestroyed = [...connections].filter((connection) =>
      this.#undestroyedMptcp.has(connection) && isUndestroyed(connection)
    );
    const present = new Set<string>();
    for (let dump = 1; dump <= DUMPS_BEFORE_GONE && present.size < undestroyed.length; dump++) {
      for (const connection of remaining(undestroyed)) present.add(identityOf(connection));
    }
    for (const connection of undestroyed) {
      if (present.has(identityOf(connection))) continue;
      if (this.#undestroyedMptcp.get(connection) === "hung-up") setOutcome(connection, "hung-up");
      else setOutcome(connection, "already-gone", ENDED);
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

  /** Returns a verified duplicate, the first refusal, or null when no owner holds the socket any more. */
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
function sockDestroy(connection: Connection, diag: SockDiag): string | null {
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
    return explainDestroyError(error);
  }
}

/** Sets the outcome of a connection that has gone. A connection that was hung up on before ended because of that. */
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

/**
 * Sets the outcome of a connection that SOCK_DESTROY did not end and of which there is no duplicate.
 *
 * @param why The refusal of a duplicate; null when no owner holds the connection.
 */
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

/** Names an owner for a message: `pid 812 (postgres)`. */
export function ownerName({ pid, comm }: Owner): string {
  return `pid ${pid} (${comm})`;
}

/**
 * Sets the outcome of a connection whose owner was not found, or could not be asked. In the second case the
 * connection's `error` says why.
 *
 * @param unreadable Number of processes whose descriptors could not be read.
 */
export function explainNoOwner(connection: Connection, unreadable: number): void {
  const { inode, uid, owners, error } = connection;
  if (error !== null) return setOutcome(connection, "failed", error);
  if (inode === 0) return setOutcome(connection, "no-owner", "not yet accepted by the application");
  if (owners.length > 0) {
    return setOutcome(connection, "failed", `${ownerName(owners[0])} opens and closes it too fast to follow`);
  }
  const blocked = unanswered();
  if (blocked.length > 0) {
    const others = blocked.length > 1 ? `, and ${blocked.length - 1} more such` : "";
    return setOutcome(connection, "failed", `no process that answers holds it; ${blocked[0]}${others}`);
  }
  const missing = unreadable > 0 ? explainProcDenied() : null;
  if (missing !== null) {
    return setOutcome(connection, "denied", `a process of uid ${uid} that may not be looked into: ${missing}`);
  }
  const where = unreadable > 0 ? ` (${unreadable} could not be looked into)` : "";
  const others = "io_uring or a process of another PID namespace may";
  setOutcome(connection, "no-owner", `no process in this /proc holds it${where}; ${others}`);
}
