// Gives connections their outcomes, in words: those that are left alone, that were not reached, and that have no owner.

import { isUnresponsive } from "../../ffi/progress.ts";
import { recordOutcome, unanswered } from "../front/journal.ts";
import { explainProcDenied } from "../linux/proc/permissions.ts";
import { type Connection, handleOf } from "../model/connection.ts";
import type { Outcome, Reasons, Result, Target } from "../model/result.ts";
import { ENDED, ownerName, UNRESPONSIVE } from "../socket/with_duplicate.ts";

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

/** Sets the outcome of a connection that has gone. A connection that was hung up on before ended because of that. */
export function setGone(target: Target): void {
  if (target.result?.outcome !== "hung-up") setOutcome(target, "already-gone", "gone", ENDED);
}

/** Sets the outcome of a connection whose owner is blocked in the kernel. */
export function failUnresponsive(target: Target): void {
  setOutcome(target, "failed", "unresponsive", `its owner ${UNRESPONSIVE}`);
}

/**
 * Gives a result to a connection that was not reached.
 *
 * @param error The error that ended the run; null when it was interrupted.
 */
export function explainNotReached(target: Target, error: string | null): void {
  if (isUnresponsive(handleOf(target.connection))) failUnresponsive(target);
  else if (error === null) setOutcome(target, "skipped", "interrupted", "interrupted before it was touched");
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
