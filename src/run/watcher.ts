// The process that watches a supervisor. A hostile process can block the supervisor in the kernel uninterruptibly: in
// close(2) of a descriptor of FUSE, in setsockopt(2) on a socket whose lock is held. Such a supervisor cannot be
// killed. It is left behind, and another one replaces it.

import { host } from "../../ffi/deno.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { pidfdOpen, sendSignal } from "../../ffi/pidfd.ts";
import { type Descriptor, keepOnExec } from "../../ffi/descriptor.ts";
import { poll, pollAll, POLLIN } from "../../ffi/poll.ts";
import { hasEnded, spawn } from "../../ffi/spawn.ts";
import { isNotificationValid, type Notification, POLLHUP } from "../../ffi/seccomp.ts";
import { encodeConfig, SUPERVISE, type SupervisorConfig, WATCH } from "./supervisor_config.ts";
import type { HeldStderr } from "./held_stderr.ts";
import { inheritedEnvironment } from "../linux/proc/environ.ts";
import { COMMAND_FD, HANDOVER_FD, REPLACED, STDERR } from "./respawn.ts";

/** The time between two looks while calls come in. Without calls the watcher sleeps. */
const TICK_MS = 250;
/** A supervisor that has answered nothing for so many looks, while a call waits, is stuck. */
const PATIENCE_TICKS = 4;

/** A supervisor's descriptors and memory, in its watcher. */
export interface Watched {
  readonly listener: Descriptor;
  /** The supervisor's notification, in shared memory. */
  readonly notification: Notification;
  /** A pidfd of the supervisor. */
  readonly supervisor: Descriptor;
}

/** What a watcher calls. */
export interface WatcherOptions {
  /** Replaces the stuck supervisor. When it returns `false` it is called again at the next look. */
  readonly replace: () => boolean;
  /** Called at each look, with whether the command has ended. */
  readonly look: (hasEnded: boolean) => void;
  readonly stderr: HeldStderr;
}

/**
 * Watches until the supervisor has ended, or is replaced. When the last thread under the filter has ended, it ends the
 * supervisor, which before Linux 6.11 does not learn of that in its ioctl(2).
 */
export function watch(
  { listener, notification, supervisor }: Watched,
  { replace, look, stderr }: WatcherOptions,
): void {
  let answered = notification.answered;
  let ticks = 0;
  let isIdle = false;
  for (;;) {
    const own = [[listener.number, isIdle ? POLLIN : 0], [supervisor.number, POLLIN]] as const;
    const [calls, end, ...commandEnd] = pollAll([...own, ...stderr.awaited], isIdle ? -1 : TICK_MS);
    look(commandEnd.some((events) => events !== 0));
    if (end !== 0) return;
    if (calls & POLLHUP) return sendSignal(supervisor, REPLACED);
    ticks = notification.answered === answered && !isIdle ? ticks + 1 : 0;
    answered = notification.answered;
    isIdle = ticks >= PATIENCE_TICKS && !isCalled(listener, notification);
    if (ticks >= PATIENCE_TICKS && !isIdle && replace()) return sendSignal(supervisor, REPLACED);
  }
}

/** Returns whether a call waits, received or not. */
function isCalled(listener: Descriptor, notification: Notification): boolean {
  return (notification.id !== 0n && isNotificationValid(listener, notification.id)) ||
    (poll(listener.number, POLLIN, 0) & POLLIN) !== 0;
}

/** Opens a pidfd of the supervisor that has started this process. Null when it has ended. */
export function openSupervisor(pid: number): Descriptor | null {
  if (host.parent !== pid) return null;
  const supervisor = pidfdOpen(pid);
  if (host.parent === pid) return supervisor;
  supervisor.close();
  return null;
}

/** The shortest time between two starts of a watcher. */
const RESTART_AFTER_MS = 10_000;

/** Starts the watcher of this process, a supervisor. */
export class Watcher {
  readonly #config: SupervisorConfig;
  readonly #stderr: HeldStderr;
  #pid: number | null = null;
  #since = -Infinity;

  /** @param stderr Handed on to the watcher when that is started. */
  constructor(config: SupervisorConfig, stderr: HeldStderr) {
    this.#config = config;
    this.#stderr = stderr;
  }

  /**
   * Starts the watcher unless it runs. It inherits the supervisor's descriptors.
   *
   * @returns Whether the watcher runs.
   */
  start(): boolean {
    if (this.#pid !== null && !hasEnded(this.#pid)) return true;
    this.#pid = null;
    const now = performance.now();
    if (now - this.#since < RESTART_AFTER_MS) return false;
    this.#since = now;
    const [program, ...words] = host.selfCommand;
    const command = [program, ...words, SUPERVISE, WATCH, String(host.pid), ...encodeConfig(this.#config)];
    const args = command.map((word) => new TextEncoder().encode(word));
    try {
      // Node has set FD_CLOEXEC on inherited descriptors.
      for (const fd of [STDERR, HANDOVER_FD, COMMAND_FD]) keepOnExec(fd);
      this.#pid = spawn(program, args, inheritedEnvironment(), []);
      this.#stderr.drop();
    } catch (error) {
      if (!isSyscallError(error)) throw error;
    }
    return this.#pid !== null;
  }
}
