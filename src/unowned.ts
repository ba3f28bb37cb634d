// A connection that nobody holds, as far as can be seen: what that means for it.

import { ownerName, settle } from "./act.ts";
import type { Connection } from "./connection.ts";
import { unanswered } from "./front/journal.ts";
import { missingToLook } from "./owners/permission.ts";

/**
 * Gives a connection the outcome that it has when its holder was looked for in vain, or could not be asked: then its `error`
 * says why.
 *
 * @param unreadable How many processes could not be looked into.
 */
export function settleUnowned(connection: Connection, unreadable: number): void {
  const { inode, uid, owners, error } = connection;
  if (error !== null) return settle(connection, "failed", error);
  if (inode === 0) return settle(connection, "no-owner", "not yet accepted by the application");
  if (owners.length > 0) {
    return settle(connection, "failed", `${ownerName(owners[0])} opens and closes it too fast to follow`);
  }
  const stuck = unanswered();
  if (stuck.length > 0) {
    const others = stuck.length > 1 ? `, and ${stuck.length - 1} more such` : "";
    return settle(connection, "failed", `no process that answers holds it; ${stuck[0]}${others}`);
  }
  const missing = unreadable > 0 ? missingToLook() : null;
  if (missing !== null) {
    return settle(connection, "denied", `a process of uid ${uid} that may not be looked into: ${missing}`);
  }
  const where = unreadable > 0 ? ` (${unreadable} could not be looked into)` : "";
  const others = "io_uring or a process of another PID namespace may";
  settle(connection, "no-owner", `no process in this /proc holds it${where}; ${others}`);
}
