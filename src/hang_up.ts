// Hanging up: select, resolve, act, and again until nothing new is found; then wait, and abort what is left, if asked.

import { isSyscallError, type SyscallError } from "../ffi/libc.ts";
import type { Connection, Outcome, Owner } from "./connection.ts";
import { type Duplicate, Processes } from "./duplicate/duplicate.ts";
import { CLOSING } from "./netlink/states.ts";
import { missingForGetfd } from "./owners/permission.ts";
import { countOutcomes, type Report, Stopwatch } from "./report.ts";
import { Resolver } from "./resolve.ts";
import { Selector } from "./select.ts";
import { compileSelection, type Selection } from "./selection/selection.ts";
import { identityOf, sockIdOf } from "./sockdiag/connection.ts";

/** How to hang up. */
export interface HangUpOptions {
  /** Find out what would be done, and touch nothing. */
  dry_run?: boolean;
  /**
   * TCP_USER_TIMEOUT in milliseconds: how long data or a FIN that the peer does not acknowledge may keep the connection.
   * What a slow but living peer has not acknowledged by then is lost. 0 leaves the socket's own. Default 5000.
   */
  linger_ms?: number;
  /** Wait up to so long for the connections to be gone, and report those that are not as `lingering`. */
  wait_ms?: number;
  /** Abort with a RST instead of hanging up. */
  destroy?: boolean;
  /** Hang up, wait so long, then abort what is still there and what has no owner. */
  destroy_after_ms?: number;
  /** Do not spare the connections that an ancestor of this process holds. */
  include_session?: boolean;
  /** Stops between two connections. */
  signal?: AbortSignal;
}

/** tcp(7)'s TCP_USER_TIMEOUT for connections that were hung up on. */
export const DEFAULT_LINGER_MS = 5000;

/** How often to look again for connections that appeared meanwhile, at most. */
const PASSES = 5;
/** How often to look again for the holder of one connection. */
const TRIES = 3;
/** How long to work before the event loop gets to see whether a signal has come. */
const SLICE_MS = 25;
/** How often to look whether connections are gone: at first, and at most. */
const POLL_MS = { first: 10, most: 250 };

/**
 * Hangs up on the selected connections, as if the applications that hold them had: their peers are sent a FIN and they
 * read end-of-file. It needs to be the same user as the owner, or CAP_SYS_PTRACE.
 *
 * @example Hang up on every connection to a database that has moved away
 * ```ts
 * import { hangUp } from "@tcphup/tcphup";
 *
 * const report = await hangUp({ dst: "192.0.2.10", dport: 5432 });
 * console.log(`${report.hung_up} of ${report.matched} connections hung up`);
 * ```
 *
 * @returns What became of each connection. One that could not be hung up on is no error.
 * @throws {UsageError} When the selection is empty, malformed, or names something that is not there.
 * @throws {Unsupported} Where the kernel cannot list sockets.
 */
export async function hangUp(selection: Selection, options: HangUpOptions = {}): Promise<Report> {
  const run = new HangUp(new Selector(compileSelection(selection)), options);
  try {
    await run.passes();
    await run.settle();
    return run.report();
  } finally {
    run.close();
  }
}

class HangUp {
  readonly #selector: Selector;
  readonly #options: HangUpOptions;
  readonly #watch = new Stopwatch();
  readonly #resolver: Resolver;
  readonly #processes = new Processes();
  /** Every connection that was selected so far, by identity. */
  readonly #known = new Map<string, Connection>();
  readonly #tries = new Map<Connection, number>();
  /** Duplicates kept because their connections may have to be aborted later. */
  readonly #held = new Map<Connection, Duplicate>();
  #sliceEnd = performance.now() + SLICE_MS;
  #interrupted = false;
  #missing: string | undefined;

  constructor(selector: Selector, options: HangUpOptions) {
    this.#selector = selector;
    this.#options = options;
    this.#resolver = new Resolver();
  }

  /** Selects, resolves and acts until a pass finds nothing new. */
  async passes(): Promise<void> {
    for (let pass = 1; pass <= PASSES && !this.#interrupted; pass++) {
      const pending = this.#watch.time("select", () => this.#select(pass > 1));
      if (pending.length === 0) return;
      this.#watch.time("resolve", () => this.#resolve(pending));
      await this.#watch.timeAsync("act", () => this.#act(pending));
      if (this.#options.dry_run) return;
    }
  }

  /** The connections of this pass: those not seen before, and those whose holder was not met before. */
  #select(again: boolean): Connection[] {
    // What was hung up on is closing now, so a later pass need not look at it.
    const rows = this.#selector.select(again ? ~CLOSING : undefined);
    const pending: Connection[] = [];
    const present = new Set<string>();
    for (const connection of rows) {
      const identity = identityOf(connection);
      present.add(identity);
      if (this.#known.has(identity)) continue;
      this.#known.set(identity, connection);
      pending.push(connection);
    }
    for (const connection of this.#tries.keys()) {
      if (present.has(identityOf(connection))) pending.push(connection);
      else settle(connection, "already-gone", "ended by itself");
    }
    return pending;
  }

  #resolve(pending: readonly Connection[]): void {
    this.#resolver.resolve(pending, {
      exhaustive: this.#options.dry_run,
      except: this.#held.size > 0 ? undefined : undefined,
    });
  }

  async #act(pending: readonly Connection[]): Promise<void> {
    for (const connection of pending) {
      if (await this.#isInterrupted()) settle(connection, "skipped", "interrupted before it was touched");
      else this.#actOn(connection);
    }
    this.#processes.close();
  }

  #actOn(connection: Connection): void {
    const { dry_run, destroy, include_session } = this.#options;
    const session = include_session ? null : this.#resolver.sessionOf(connection);
    if (session !== null) return settle(connection, "skipped", `${session}: --include-session takes it too`);
    if (connection.subflow_of !== undefined) {
      const reason = `a subflow of the MPTCP connection to ${connection.subflow_of}, which was not selected`;
      return settle(connection, "skipped", reason);
    }
    if (destroy) return dry_run ? settle(connection, "would-destroy") : this.#destroy(connection);
    if (isHungUp(connection)) return settle(connection, "already-gone", `already hung up, in ${connection.state}`);
    if (connection.owners.length === 0) return this.#reportNoOwner(connection);
    if (dry_run) return settle(connection, "would-hang-up");
    this.#hangUp(connection);
  }
}

/** Whether this end has already sent its FIN and reads no more. */
function isHungUp({ state, inode, shutdown }: Connection): boolean {
  return (stateMask(state) & CLOSING) !== 0 && (inode === 0 || shutdown === 3);
}
