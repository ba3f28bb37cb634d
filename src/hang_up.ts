// Hanging up: select, resolve, act, and again until nothing new is found; then wait, and abort what is left, if asked.

import { Actor, ownerName, settle } from "./act.ts";
import type { Connection } from "./connection.ts";
import { CLOSING, stateMask } from "./netlink/states.ts";
import { hasCapability } from "./owners/permission.ts";
import { countOutcomes, type Report, Stopwatch } from "./report.ts";
import { Resolver } from "./resolve.ts";
import { Selector } from "./select.ts";
import { compileSelection, type Selection } from "./selection/selection.ts";
import { sleep } from "./sleep.ts";
import { identityOf } from "./sockdiag/connection.ts";

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
const SLICE_MS = 100;
/** How often to look whether connections are gone: at first, and at most. */
const POLL_MS = { first: 10, most: 250 };

const INTERRUPTED = "interrupted before it was touched";

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
  readonly #resolver = new Resolver();
  readonly #actor: Actor;
  /** Every connection that was selected so far, by identity. */
  readonly #known = new Map<string, Connection>();
  /** Those without an outcome, and how often their holder was looked for. */
  readonly #tries = new Map<Connection, number>();
  #sliceEnd = performance.now() + SLICE_MS;

  constructor(selector: Selector, options: HangUpOptions) {
    this.#selector = selector;
    this.#options = options;
    this.#actor = new Actor({
      linger_ms: options.linger_ms ?? DEFAULT_LINGER_MS,
      hold: options.destroy_after_ms !== undefined,
    });
  }

  /** Selects, resolves and acts until a pass finds nothing new. */
  async passes(): Promise<void> {
    for (let pass = 1; pass <= PASSES; pass++) {
      const pending = this.#watch.time("select", () => this.#select(pass > 1));
      if (pending.length === 0) break;
      this.#watch.time("resolve", () => this.#resolve(pending));
      await this.#watch.timeAsync("act", () => this.#act(pending));
      if (this.#options.dry_run || this.#interrupted) break;
    }
    for (const connection of this.#tries.keys()) this.#reportNoOwner(connection);
  }

  /** The connections of this pass: those not seen before, and those whose holder was not found before. */
  #select(again: boolean): Connection[] {
    // What was hung up on is closing now, so a later pass need not look at it.
    const listed = this.#selector.select(again ? ~CLOSING : undefined);
    const pending: Connection[] = [];
    for (const connection of listed) {
      const identity = identityOf(connection);
      if (this.#known.has(identity)) continue;
      this.#known.set(identity, connection);
      pending.push(connection);
    }
    if (this.#tries.size === 0) return pending;

    const present = new Map(listed.map((connection) => [identityOf(connection), connection]));
    for (const [connection, tries] of this.#tries) {
      const now = present.get(identityOf(connection));
      if (now === undefined) {
        settle(connection, "already-gone", "ended by itself");
        this.#tries.delete(connection);
      } else if (tries < TRIES) {
        // One that has just been accepted has an inode now.
        connection.inode = now.inode;
        pending.push(connection);
      }
    }
    return pending;
  }

  #resolve(pending: readonly Connection[]): void {
    this.#resolver.resolve(pending, {
      exhaustive: this.#options.dry_run,
      exceptSelf: this.#options.destroy_after_ms !== undefined,
    });
  }

  async #act(pending: readonly Connection[]): Promise<void> {
    for (const connection of pending) {
      if (performance.now() > this.#sliceEnd) await this.#yield();
      if (this.#interrupted) settle(connection, "skipped", INTERRUPTED);
      else this.#actOn(connection);
      if (connection.outcome === null) this.#tries.set(connection, (this.#tries.get(connection) ?? 0) + 1);
      else if (this.#tries.size > 0) this.#tries.delete(connection);
    }
  }

  /** Leaves the outcome null where the holder has to be looked for again. */
  #actOn(connection: Connection): void {
    const { dry_run, destroy, include_session } = this.#options;
    const session = include_session ? null : this.#resolver.sessionOf(connection);
    if (session !== null) return settle(connection, "skipped", `${session}; --include-session takes it too`);
    if (connection.subflow_of !== undefined) {
      const reason = `a subflow of the MPTCP connection to ${connection.subflow_of}, which was not selected`;
      return settle(connection, "skipped", reason);
    }
    if (destroy) {
      if (dry_run) return settle(connection, "would-destroy");
      return this.#actor.destroy(connection, this.#selector.diag);
    }
    if (isHungUp(connection)) return settle(connection, "already-gone", `already hung up: in ${connection.state}`);
    if (dry_run) {
      return connection.owners.length > 0 ? settle(connection, "would-hang-up") : this.#reportNoOwner(connection);
    }
    this.#actor.hangUp(connection);
  }

  #reportNoOwner(connection: Connection): void {
    const { inode, uid } = connection;
    if (inode === 0) return settle(connection, "no-owner", "not yet accepted by the application");
    if (connection.owners.length > 0) {
      return settle(connection, "failed", `${ownerName(connection.owners[0])} opens and closes it too fast to follow`);
    }
    const unread = this.#resolver.unreadable;
    if (unread > 0 && !hasCapability("CAP_SYS_PTRACE")) {
      return settle(connection, "denied", `a process of uid ${uid} that may not be looked into: needs CAP_SYS_PTRACE`);
    }
    const where = unread > 0 ? ` (${unread} could not be looked into)` : "";
    settle(connection, "no-owner", `no process in this /proc holds it${where}`);
  }

  /** Waits for connections to be gone, as far as that was asked for, and aborts those that are not. */
  async settle(): Promise<void> {
    const { dry_run, destroy_after_ms, wait_ms } = this.#options;
    if (dry_run || this.#interrupted) return;
    await this.#watch.timeAsync("wait", async () => {
      if (destroy_after_ms !== undefined) {
        const left = await this.#waitUntilGone(destroy_after_ms);
        for (const connection of this.#interrupted ? [] : left) {
          this.#actor.destroy(connection, this.#selector.diag);
        }
        this.#actor.releaseHeld();
      }
      if (wait_ms !== undefined) {
        for (const connection of await this.#waitUntilGone(wait_ms)) {
          const { outcome } = connection;
          if (outcome === "hung-up" || outcome === "already-gone" || outcome === "destroyed") {
            settle(connection, "lingering", `still there after ${wait_ms / 1000} s, in ${connection.state}`);
          }
        }
      }
    });
  }

  /** Returns those known connections, the spared ones apart, that are still there after `ms`. */
  async #waitUntilGone(ms: number): Promise<Connection[]> {
    const deadline = performance.now() + ms;
    for (let poll_ms = POLL_MS.first;; poll_ms = Math.min(2 * poll_ms, POLL_MS.most)) {
      const left: Connection[] = [];
      for (const now of this.#selector.select()) {
        const connection = this.#known.get(identityOf(now));
        if (connection === undefined || connection.outcome === "skipped") continue;
        connection.state = now.state;
        left.push(connection);
      }
      const remaining_ms = deadline - performance.now();
      if (left.length === 0 || remaining_ms <= 0 || this.#interrupted) return left;
      await sleep(Math.min(poll_ms, remaining_ms), this.#options.signal);
    }
  }

  /** Lets the event loop deliver a signal. */
  async #yield(): Promise<void> {
    await sleep(0);
    this.#sliceEnd = performance.now() + SLICE_MS;
  }

  get #interrupted(): boolean {
    return this.#options.signal?.aborted ?? false;
  }

  report(): Report {
    const connections = [...this.#known.values()];
    return {
      schema: 1,
      command: "hup",
      dry_run: this.#options.dry_run ?? false,
      ...countOutcomes(connections, ["hung_up", "destroyed"]),
      interrupted: this.#interrupted,
      unreadable_processes: this.#resolver.unreadable,
      elapsed_ms: this.#watch.elapsed_ms,
      phases_ms: this.#watch.phases,
      connections,
    };
  }

  close(): void {
    this.#actor.close();
    this.#selector.close();
  }
}

/** Whether this end has sent its FIN already and reads no more. */
function isHungUp({ state, inode, shutdown }: Connection): boolean {
  return (stateMask(state) & CLOSING) !== 0 && (inode === 0 || shutdown === 3);
}
