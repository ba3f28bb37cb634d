// The third room of the pipeline: hang up on a connection, or abort it.

import { IPPROTO_TCP, isSyscallError, type SyscallError } from "../ffi/libc.ts";
import type { Connection, Outcome, Owner } from "./connection.ts";
import { type Duplicate, Processes } from "./duplicate/duplicate.ts";
import { hasCapability } from "./owners/permission.ts";
import { type Refusal, refusalOf } from "./refusal.ts";
import { sockIdOf } from "./sockdiag/connection.ts";
import type { SockDiag } from "./sockdiag/sock_diag.ts";

/** Says what became of a connection. */
export function settle(connection: Connection, outcome: Outcome, error: string | null = null): void {
  connection.outcome = outcome;
  connection.error = error;
}

/** How to act. */
export interface ActorOptions {
  /** TCP_USER_TIMEOUT of what is hung up on, in milliseconds; 0 leaves the socket's own. */
  readonly linger_ms: number;
  /** Keep the duplicates, so that what has no owner any more can still be aborted. */
  readonly hold: boolean;
}

/** Acts on connections whose owners are known. Each method leaves an outcome in the connection. */
export class Actor {
  readonly #options: ActorOptions;
  readonly #processes = new Processes();
  readonly #held = new Map<Connection, Duplicate>();

  constructor(options: ActorOptions) {
    this.#options = options;
  }

  /**
   * Shuts a connection down through the first owner whose descriptor may be opened. The outcome stays null when none
   * of the owners holds the socket any more: then they have to be looked for again.
   */
  hangUp(connection: Connection): void {
    const taken = this.#take(connection);
    if (taken === null) return;
    if ("error" in taken) return settle(connection, taken.outcome, taken.error);
    try {
      const open = taken.hangUp(this.#options.linger_ms);
      if (open) settle(connection, "hung-up");
      else settle(connection, "already-gone", "ended by itself");
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      settle(connection, "failed", failure(connection.owners[0], error));
    }
    if (this.#options.hold && connection.outcome === "hung-up") this.#held.set(connection, taken);
    else taken.close();
  }

  /** Aborts a connection: with SOCK_DESTROY, or where that is not to be had through a duplicate. */
  destroy(connection: Connection, diag: SockDiag): void {
    const refusal = connection.protocol === "mptcp" ? "SOCK_DESTROY cannot end MPTCP" : sockDestroy(connection, diag);
    if (refusal !== null) this.#abort(connection, refusal);
    this.#held.get(connection)?.close();
    this.#held.delete(connection);
  }

  #abort(connection: Connection, refusal: string): void {
    const taken = this.#held.get(connection) ?? this.#take(connection);
    if (taken === null) {
      const outcome = hasCapability("CAP_NET_ADMIN") ? "unsupported" : "denied";
      return settle(connection, outcome, `${refusal}, and no process holds it whose descriptor could be used instead`);
    }
    if ("error" in taken) return settle(connection, taken.outcome, `${refusal}; ${taken.error}`);
    try {
      taken.abort();
      settle(connection, "destroyed");
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      settle(connection, error.code === "EOPNOTSUPP" ? "unsupported" : "failed", `${refusal}; ${error.message}`);
    } finally {
      taken.close();
    }
  }

  /** A verified duplicate, what refused it, or null when none of the owners holds the socket any more. */
  #take(connection: Connection): Duplicate | Refusal | null {
    let refusal: Refusal | null = null;
    for (const owner of connection.owners) {
      try {
        const duplicate = this.#duplicate(connection, owner);
        if (duplicate) return duplicate;
      } catch (error) {
        if (!isSyscallError(error)) throw error;
        const { outcome, error: reason } = refusalOf(error);
        refusal ??= { outcome, error: `${ownerName(owner)}: ${reason}` };
      }
    }
    return refusal;
  }

  #duplicate(connection: Connection, owner: Owner): Duplicate | null {
    try {
      return this.#processes.duplicate(connection, owner);
    } catch (error) {
      if (!isSyscallError(error, "EMFILE") || this.#held.size === 0) throw error;
      // Holding is a convenience for later; acting now matters more.
      this.releaseHeld();
      return this.#processes.duplicate(connection, owner);
    }
  }

  /** Closes the duplicates that are held. Their connections live on, or end, without us. */
  releaseHeld(): void {
    for (const duplicate of this.#held.values()) duplicate.close();
    this.#held.clear();
  }

  close(): void {
    this.releaseHeld();
    this.#processes.close();
  }
}

/** Returns null when it is done, else why it could not be done this way. */
function sockDestroy(connection: Connection, diag: SockDiag): string | null {
  try {
    diag.destroy(IPPROTO_TCP, sockIdOf(connection));
    settle(connection, "destroyed");
    return null;
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    if (error.code === "ENOENT") {
      settle(connection, "already-gone", "ended by itself");
      return null;
    }
    if (error.code === "EPERM") return "SOCK_DESTROY needs CAP_NET_ADMIN";
    if (error.code === "EOPNOTSUPP") return "SOCK_DESTROY needs a kernel with CONFIG_INET_DIAG_DESTROY";
    return error.message;
  }
}

function failure(owner: Owner, error: SyscallError): string {
  return `${ownerName(owner)}: ${error.message}`;
}

/** An owner, as messages name it. */
export function ownerName({ pid, comm }: Owner): string {
  return `pid ${pid} (${comm})`;
}
