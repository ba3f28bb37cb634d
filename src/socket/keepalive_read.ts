// Reads the keepalive of connections. The kernel does not list it, so it is read from a duplicate of the owner's
// descriptor.

import { withFallback } from "../../ffi/errno.ts";
import { withDuplicate } from "./with_duplicate.ts";
import type { HeldConnection, Keepalive, Unread } from "../model/connection.ts";
import { PidfdCache } from "./duplicate.ts";
import type { StateLookup } from "./proof.ts";
import { type KeepaliveSysctls, readSysctls } from "../keepalive/detection.ts";
import { read } from "./keepalive_options.ts";

/** Reads the keepalive of connections whose owners are known. */
export class KeepaliveReader {
  readonly #pidfds: PidfdCache;
  readonly #unread = new Map<string, number>();

  constructor(lookUp: StateLookup) {
    this.#pidfds = new PidfdCache(lookUp);
  }

  /** Returns the keepalive of a connection; null when it cannot be read, and `unread` says why. */
  read(held: HeldConnection): Keepalive | null {
    const result = withDuplicate(this.#pidfds, held, ({ descriptor }) => read(descriptor));
    if (result !== null && "value" in result) return result.value;
    const isLost = result === null || result.outcome === "already-gone";
    const reason = isLost ? withoutHolder(held) : result.message;
    this.#unread.set(reason, (this.#unread.get(reason) ?? 0) + 1);
    return null;
  }

  /** The reasons for failures so far, the most frequent first. */
  get unread(): Unread[] {
    const unread = [...this.#unread].map(([reason, count]) => ({ reason, count }));
    return unread.sort((a, b) => b.count - a.count);
  }

  close(): void {
    this.#pidfds.close();
  }
}

/** Returns why a connection has no descriptor to read from. */
function withoutHolder({ connection: { inode, state }, owners }: HeldConnection): string {
  if (owners.length > 0) return "closed meanwhile";
  if (inode !== 0) return "no process that may be looked into holds it";
  return state === "ESTAB" || state === "CLOSE-WAIT" ? "not yet accepted by the application" : "held by no application";
}

/** Reads the keepalive sysctls of the thread's network namespace; null where /proc/sys does not show them. */
export function keepaliveSysctls(): KeepaliveSysctls | null {
  return withFallback(null, readSysctls);
}
