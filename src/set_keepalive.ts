// Sets keepalive on open connections: in rounds, until no new connection is found or, when watching, until it is
// aborted.

import { KeepaliveRounds, setOnce } from "./act/keepalive_rounds.ts";
import type { WatchAttachment } from "./attach/watch_attachment.ts";
import {
  desiredKeepalive,
  type SetKeepaliveOptions,
  validateKeepaliveOptions,
  validateWatchOptions,
  type WatchKeepaliveOptions,
} from "./keepalive/set_options.ts";
import type { KeepaliveResult } from "./model/result.ts";
import type { KeepaliveReport } from "./report/report.ts";
import { compileWithListeners } from "./select/listeners.ts";
import type { Selection } from "./select/selection.ts";

/**
 * Sets keepalive on the selected connections from outside the programs that hold them, and reads it back. The caller
 * must be the same user as the owner, or have CAP_SYS_PTRACE. A connection that has the values already is not touched.
 * (Where the net_cls or net_prio controllers of cgroups v1 are in use, the kernel tags a duplicated socket as this
 * process's.)
 *
 * The event loop is blocked while sockets are listed and while it is read who holds them, twice at least: for some 0.4 s
 * with 10,000 connections. In between it has its turn every 0.1 s.
 *
 * @example Notice within 30 seconds when a database is gone
 * ```ts
 * import { setKeepalive } from "@tcphup/tcphup";
 *
 * const values = { idleS: 20, intervalS: 5, count: 2 };
 * const report = await setKeepalive({ dst: "192.0.2.10", dport: 5432 }, { values });
 * for (const { before, after } of report.results) console.log(before, after);
 * ```
 *
 * @returns The outcome of each connection. A connection on which keepalive could not be set is not an error.
 * @throws {UsageError} When an option is wrong, a value is out of the kernel's range, or options contradict each other.
 * When the selection is empty, malformed, or names something that is not there.
 * @throws {UnsupportedError} When the kernel cannot list sockets.
 * @throws {SyscallError} When a system call fails before anything was touched. A later failure is the report's `error`.
 * @throws {LibcUnavailableError} When libc cannot be loaded.
 */
export async function setKeepalive(selection: Selection, options: SetKeepaliveOptions = {}): Promise<KeepaliveReport> {
  validateKeepaliveOptions(options);
  return await setOnce(compileWithListeners(selection, options.listeners ?? false), options);
}

/**
 * Sets keepalive on the selected connections and on those that are opened later, until `signal` is aborted or the caller
 * leaves the loop. A new connection may be without keepalive for up to `everyMs`; with `attach`, not at all where that can
 * be done. Each connection is set once by a round: changes by its application stay.
 *
 * The loop ends when `signal` is aborted, at the latest with the connection that is being set. Leaving the loop (`break`,
 * `return`, an exception) ends the watch too. Either way all that was opened is closed.
 *
 * Each round blocks the event loop while it lists sockets: for some 30 ms with 10,000. Where there are new connections, it
 * also blocks it while it reads who holds them.
 *
 * @example Set keepalive on all connections to a network, as they are opened
 * ```ts
 * import { watchKeepalive } from "@tcphup/tcphup";
 *
 * for await (const { connection, outcome } of watchKeepalive({ dst: "10.0.0.0/8" }, { onlyMissing: true })) {
 *   console.log(`${connection.dst.address}:${connection.dst.port}: ${outcome}`);
 * }
 * ```
 *
 * @returns Each connection on which keepalive was set, or could not be set, as that happens.
 * @throws {UsageError} At once, as `setKeepalive`. When the selection names a process, namespace, cgroup or container that
 * is not there, from the iteration.
 * @throws {UnsupportedError} From the iteration, when the kernel cannot list sockets.
 * @throws {SyscallError} From the iteration, when a system call fails in a way that does not pass.
 * @throws {LibcUnavailableError} When libc cannot be loaded.
 */
export function watchKeepalive(
  selection: Selection,
  options: WatchKeepaliveOptions = {},
): AsyncGenerator<KeepaliveResult, void> {
  validateWatchOptions(options);
  const compiled = compileWithListeners(selection, options.listeners ?? false);
  const attach = async () => {
    if (!options.attach) return "not asked for";
    if (options.dryRun) return "nothing is attached in a dry run";
    const { attachForWatch } = await import("./attach/watch_attachment.ts");
    return attachForWatch(selection, compiled, desiredKeepalive(options), options.onEnd !== undefined);
  };
  return watch(new KeepaliveRounds(compiled, options, { isWatching: true }), attach, options.onEnd);
}

async function* watch(
  rounds: KeepaliveRounds,
  attach: () => Promise<WatchAttachment | string>,
  onEnd: WatchKeepaliveOptions["onEnd"],
): AsyncGenerator<KeepaliveResult, void> {
  let attached: WatchAttachment | string = "";
  try {
    // Before the first list, so that nothing is missed between the two.
    attached = await attach();
    yield* rounds.forever(attached);
  } finally {
    try {
      if (typeof attached !== "string") onEnd?.(attached.program.counters());
    } finally {
      if (typeof attached !== "string") attached.program.close();
      rounds.close();
    }
  }
}
