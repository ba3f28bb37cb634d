// The end-of-file that an application reads from a connection that was hung up on, whatever its peer does.
//
// A dead peer does not answer the FIN, and a host that does not know the connection answers with a RST. Either leaves an
// error in the socket (ETIMEDOUT, ECONNRESET), which the next call of the application returns, once, before end-of-file.
// Pools that look at an idle connection before they use it may take an error for a sign of life: Python's ETIMEDOUT, for
// one, is a TimeoutError, as is reading nothing for a while.

import type { Connection, HeldConnection } from "../model/connection.ts";
import type { PidfdCache } from "../socket/duplicate.ts";
import { withDuplicate } from "../socket/with_duplicate.ts";

/** Tells whether an error can take the place of end-of-file once a connection was hung up on. */
export function mayEndInError({ protocol, state }: Connection): boolean {
  // connect(2) fails with the error of an attempt that was ended. MPTCP has no TCP_USER_TIMEOUT.
  return protocol === "tcp" && state !== "SYN-SENT";
}

/**
 * Has the application read end-of-file next, from a connection that was hung up on.
 *
 * @returns `false` when the connection has not ended yet, so that an error may follow.
 */
export function restoreEndOfFile(pidfds: PidfdCache, held: HeldConnection): boolean {
  const used = withDuplicate(pidfds, held, (duplicate) => duplicate.takeError());
  return used === null || !("value" in used) || used.value;
}
