// The process that watches a supervisor. A hostile process can block the supervisor in the kernel uninterruptibly: in
// close(2) of a descriptor of FUSE, in setsockopt(2) on a socket whose lock is held. Such a supervisor cannot be
// killed. It is left behind, and another one replaces it.

import { host } from "../../ffi/deno.ts";
import { attempt, isSyscallError, withFallback } from "../../ffi/errno.ts";
import { readDirectory, readTextFile } from "../../ffi/files.ts";
import { pidfdOpen, sendSignal } from "../../ffi/pidfd.ts";
import { Descriptor, keepOnExec } from "../../ffi/descriptor.ts";
import { poll, pollAll, POLLIN } from "../../ffi/poll.ts";
import { hasEnded, spawn } from "../../ffi/spawn.ts";
import { continueSyscall, isNotificationValid, type Notification, POLLHUP } from "../../ffi/seccomp.ts";
import { encodeConfig, recentStalls, SUPERVISE, type SupervisorConfig, warnsOnce, WATCH } from "./supervisor_config.ts";
import type { Handover } from "./handover.ts";
import { HeldStderr, report } from "./held_stderr.ts";
import { inheritedEnvironment } from "../linux/proc/environ.ts";
import { COMMAND_FD, HANDOVER_FD, REPLACED, startRespawning, STDERR } from "./respawn.ts";
import { userOf } from "./syscall.ts";

/** The time between two looks while calls come in. Without calls the watcher sleeps. */
const TICK_MS = 250;
/** A supervisor that has answered nothing for so many looks, while a call waits, is stuck. */
const PATIENCE_TICKS = 4;

/**
 * Watches until the supervisor `pid` has ended, or is replaced. When the last thread under the filter has ended, it ends the
 * supervisor, which before Linux 6.11 does not learn of that in its ioctl(2).
 */
export function watch(pid: number, handover: Handover, config: SupervisorConfig): void {
  const { listener, notification } = handover;
  const stderr = new HeldStderr(warnsOnce(config));
  const supervisor = openSupervisor(pid);
  let answered = notification.answered;
  let ticks = 0;
  let isIdle = false;
  while (supervisor !== null) {
    const own = [[listener.number, isIdle ? POLLIN : 0], [supervisor.number, POLLIN]] as const;
    const [calls, end, ...commandEnd] = pollAll([...own, ...stderr.awaited], isIdle ? -1 : TICK_MS);
    passOn(notification.warning, stderr, commandEnd.some((events) => events !== 0));
    if (end !== 0) break;
    if (calls & POLLHUP) {
      sendSignal(supervisor, REPLACED);
      break;
    }
    ticks = notification.answered === answered && !isIdle ? ticks + 1 : 0;
    answered = notification.answered;
    isIdle = ticks >= PATIENCE_TICKS && !isCalled(listener, notification);
    if (ticks >= PATIENCE_TICKS && !isIdle && replace(pid, handover, config)) {
      sendSignal(supervisor, REPLACED);
      break;
    }
  }
  passOn(notification.warning, stderr, true);
}

/** Reports once, while standard error is held, that a process's sockets have not got the values. */
function passOn(warning: string, stderr: HeldStderr, isLast: boolean): void {
  if (!stderr.isHeld || (warning === "" && !isLast)) return;
  if (warning !== "") report(`${warning}: its sockets have not got the values; --debug tells of each such call`);
  stderr.drop();
}

/** Returns whether a call waits, received or not. */
function isCalled(listener: Descriptor, notification: Notification): boolean {
  return (notification.id !== 0n && isNotificationValid(listener, notification.id)) ||
    (poll(listener.number, POLLIN, 0) & POLLIN) !== 0;
}

/** Opens a pidfd of the supervisor that has started this process. Null when it has ended. */
function openSupervisor(pid: number): Descriptor | null {
  if (host.parent !== pid) return null;
  const supervisor = pidfdOpen(pid);
  if (host.parent === pid) return supervisor;
  supervisor.close();
  return null;
}

/** Starts another supervisor in the place of a stuck one. Returns whether that worked. */
function replace(pid: number, { listener, notification }: Handover, config: SupervisorConfig): boolean {
  const { id, tid } = notification;
  try {
    const second = Math.floor(parseFloat(readTextFile("/proc/uptime")));
    // −1 when the thread has ended.
    const uid = withFallback(-1, () => userOf(tid));
    const stalls = [...recentStalls(config.stalls, second, isThere), { uid, pid, second }];
    // The call over which the old supervisor is stuck proceeds, so that it does not stall the new one.
    continueSyscall(listener, id);
    startRespawning({
      supervisor: [...host.selfCommand, SUPERVISE, ...encodeConfig({ ...config, stalls })],
      environment: inheritedEnvironment(),
      handoverSocket: new Descriptor(HANDOVER_FD),
      command: new Descriptor(COMMAND_FD),
      stderr: config.debug ? "all" : "none",
    });
    if (config.debug) report(`thread ${tid}: the supervisor is stuck in the kernel over its call, and is left behind`);
    return true;
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    if (config.debug) report(`the supervisor is stuck, and another one cannot be started: ${error.message}`);
    return false;
  }
}

function isThere(pid: number): boolean {
  return readDirectory("/proc").some(({ name }) => name === String(pid));
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
    attempt(() => {
      // Node has set FD_CLOEXEC on inherited descriptors.
      for (const fd of [STDERR, HANDOVER_FD, COMMAND_FD]) keepOnExec(fd);
      this.#pid = spawn(program, args, inheritedEnvironment(), []);
      this.#stderr.drop();
    });
    return this.#pid !== null;
  }
}
