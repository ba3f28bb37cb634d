// Which keepalive a connection has. No list of the kernel says it, so it is asked of a duplicate of the owner's
// descriptor.

import { isSyscallError } from "../../ffi/errno.ts";
import { withDuplicate } from "./with_duplicate.ts";
import type { Connection, Keepalive } from "../model/connection.ts";
import { PidfdCache } from "./duplicate.ts";
import type { StateLookup } from "./proof.ts";
import { type KeepaliveSysctls, readSysctls } from "../keepalive/detection.ts";
import { read } from "./keepalive_options.ts";

/** Why some connections' keepalive could not be read. */
export interface Unread {
  /** One line for humans. */
  reason: string;
  /** Of how many connections. */
  count: number;
}

/** Reads the keepalive of connections whose owners are known. */
export class KeepaliveReader {
  readonly #pidfds: PidfdCache;
  readonly #unread = new Map<string, number>();

  constructor(lookUp: StateLookup) {
    this.#pidfds = new PidfdCache(lookUp);
  }

  /**
   * Returns null when it cannot be read; `unread` then says why. The duplicate lives for some microseconds: as long as
   * it is open, the application's own close(2) would not end the connection.
   */
  read(connection: Connection): Keepalive | null {
    const result = withDuplicate(this.#pidfds, connection, read);
    const failed = result === null || result === "ended";
    if (!failed && "value" in result) return result.value;
    const reason = failed ? withoutHolder(connection) : result.refusal.error;
    this.#unread.set(reason, (this.#unread.get(reason) ?? 0) + 1);
    return null;
  }

  /** What could not be read so far, and why, the commonest reason first. */
  get unread(): Unread[] {
    const unread = [...this.#unread].map(([reason, count]) => ({ reason, count }));
    return unread.sort((a, b) => b.count - a.count);
  }

  close(): void {
    this.#pidfds.close();
  }
}

/** Why there is no descriptor to ask. */
function withoutHolder({ inode, state, owners }: Connection): string {
  if (owners.length > 0) return "closed meanwhile";
  if (inode !== 0) return "no process that may be looked into holds it";
  return state === "ESTAB" || state === "CLOSE-WAIT" ? "not yet accepted by the application" : "held by no application";
}

/** A network namespace's own settings of keepalive, null where /proc/sys does not show them. */
export function keepaliveSysctls(): KeepaliveSysctls | null {
  try {
    return readSysctls();
  } catch (error) {
    if (isSyscallError(error)) return null;
    throw error;
  }
}
