// The processes that `tcphup run` starts beside the command: tcphup itself, with the hidden command `supervise`.

import { host } from "../../ffi/deno.ts";
import { readDirectory, readTextFile } from "../../ffi/files.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { Descriptor } from "../../ffi/descriptor.ts";
import { poll, pollAll, POLLIN, POLLOUT } from "../../ffi/poll.ts";
import { setShortSlice } from "../../ffi/process.ts";
import { ignoreSignal, SIGHUP, SIGINT, SIGQUIT, SIGTERM } from "../../ffi/signal.ts";
import {
  continueSyscall,
  hasHungUp,
  probeSeccomp,
  setSyncWakeUp,
  supportsHangUp,
  syscallAbis,
} from "../../ffi/seccomp.ts";
import { apply } from "../socket/keepalive_options.ts";
import type { SocketPhase } from "../keepalive/socket_options.ts";
import { SYSTEM_VALUES } from "../keepalive/values.ts";
import { userOf } from "./syscall.ts";
import {
  decodeConfig,
  encodeConfig,
  isGivenUp,
  recentStalls,
  SUPERVISE,
  type SupervisorConfig,
  warnsOnce,
  WATCH,
} from "./supervisor_config.ts";
import type { HookedSyscall } from "./seccomp_filter.ts";
import { answer, type Handover, mayDuplicate, receiveHandover, STARTED } from "./handover.ts";
import { HeldStderr } from "./held_stderr.ts";
import { inheritedEnvironment } from "../linux/proc/environ.ts";
import { COMMAND_FD, EXIT, HANDOVER_FD, startRespawning, STDERR } from "./respawn.ts";
import { SocketMakerError } from "./socket_maker.ts";
import { Supervisor } from "./supervisor.ts";
import { openSupervisor, watch, Watcher } from "./watcher.ts";
import { explainGetfdDenied } from "../linux/proc/permissions.ts";
import { UsageError } from "../model/errors.ts";

const PHASES: Record<HookedSyscall, SocketPhase> = { connect: "connect", listen: "listen", socket: "new" };

/**
 * Runs as the supervisor that `launch` starts beside the command, or as the watcher of that supervisor, until the last
 * process under the filter has ended.
 *
 * @param args The arguments after `supervise`.
 * @returns The exit status, by which the shell decides whether to start the supervisor anew.
 * @throws {UsageError} When it was not started by `launch`.
 */
export function supervise(args: readonly string[]): number {
  const [role, pid, ...rest] = args;
  // The shell ignores these for what it starts, but Node, as it starts, has them end it again.
  [SIGHUP, SIGINT, SIGQUIT, SIGTERM].filter(host.resets).forEach(ignoreSignal);
  return role === WATCH ? runWatcher(Number(pid), decodeConfig(rest)) : runSupervisor(decodeConfig(args));
}

function runSupervisor(config: SupervisorConfig): number {
  const handoverSocket = new Descriptor(HANDOVER_FD);
  probeSeccomp();
  const isFirst = startedByLaunch(() => answer(handoverSocket, STARTED));
  const handover = receiveHandover(handoverSocket);
  if (handover === null) return EXIT.finished;
  if (isFirst) {
    const why = whyImpossible(handover, config.on);
    answer(handoverSocket, why);
    if (why !== null) return EXIT.finished;
  }
  // The command runs from here on, and relies on the supervisor.
  try {
    if (hasHungUp(handover.listener)) return EXIT.finished;
    if (!isFirst && config.debug) report("the supervisor has ended, and another one has been started");
    setSyncWakeUp(handover.listener);
    setShortSlice();
    const stderr = new HeldStderr(isFirst && warnsOnce(config));
    dropUnlessCalled(handover.listener, stderr);
    supervisor(handover, config, stderr).run();
    return EXIT.finished;
  } catch (error) {
    if (config.debug) report(error instanceof Error ? error.message : String(error));
    return EXIT.again;
  }
}

/** Waits for the first call while standard error is held, and drops that when the command ends without a call. */
function dropUnlessCalled(listener: Descriptor, stderr: HeldStderr): void {
  if (!stderr.isHeld) return;
  const [, end] = pollAll([[listener.number, POLLIN], ...stderr.awaited], -1);
  if (end !== 0) stderr.drop();
}

function startedByLaunch<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!isSyscallError(error, "EBADF", "ENOTSOCK")) throw error;
    throw new UsageError("supervise is not a command to type: tcphup run starts it");
  }
}

function supervisor({ listener, notification }: Handover, config: SupervisorConfig, stderr: HeldStderr): Supervisor {
  const { debug, stalls } = config;
  const keepalive = { ...SYSTEM_VALUES, ...config.values };
  return new Supervisor(listener, notification, new Watcher(config, stderr), {
    syscallAbis: syscallAbis(),
    leavesAlone: (tid) => stalls.length > 0 && isGivenUp(stalls, userOf(tid)),
    setOptions(socket, syscall) {
      for (const { option, value, error } of apply(socket, keepalive, PHASES[syscall])) {
        if (error !== null && debug) report(`${syscall}: ${option} ${value}: ${error}`);
      }
    },
    report(text, error) {
      if (debug) report(text);
      else if (warnsOnce(config) && error instanceof SocketMakerError) notification.setWarning(text);
    },
  });
}

function runWatcher(pid: number, config: SupervisorConfig): number {
  const handoverSocket = new Descriptor(HANDOVER_FD);
  const handover = startedByLaunch(() => receiveHandover(handoverSocket));
  if (handover === null) return EXIT.finished;
  const stderr = new HeldStderr(warnsOnce(config));
  const supervisor = openSupervisor(pid);
  if (supervisor !== null) {
    watch({ ...handover, supervisor }, {
      replace: () => replace(pid, handover, config),
      look: (hasEnded) => passOn(handover.notification.warning, stderr, hasEnded),
      stderr,
    });
  }
  passOn(handover.notification.warning, stderr, true);
  return EXIT.finished;
}

/** Reports once, while standard error is held, that a process's sockets have not got the values. */
function passOn(warning: string, stderr: HeldStderr, isLast: boolean): void {
  if (!stderr.isHeld || (warning === "" && !isLast)) return;
  if (warning !== "") report(`${warning}: its sockets have not got the values; --debug tells of each such call`);
  stderr.drop();
}

/** Starts another supervisor in the place of a stuck one. Returns whether that worked. */
function replace(pid: number, { listener, notification }: Handover, config: SupervisorConfig): boolean {
  const { id, tid } = notification;
  try {
    const second = Math.floor(parseFloat(readTextFile("/proc/uptime")));
    const stalls = [...recentStalls(config.stalls, second, isThere), { uid: userOrNone(tid), pid, second }];
    // The call over which the old supervisor is stuck proceeds, so that it does not stall the new one.
    continueSyscall(listener, id);
    startRespawning({
      supervisor: [...host.selfCommand, SUPERVISE, ...encodeConfig({ ...config, stalls })],
      environment: inheritedEnvironment(),
      handoverSocket: new Descriptor(HANDOVER_FD),
      command: new Descriptor(COMMAND_FD),
      open: readDirectory("/proc/self/fd").map(({ name }) => Number(name)),
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

/** Returns the user of a thread; −1 when it has ended. */
function userOrNone(tid: number): number {
  try {
    return userOf(tid);
  } catch (error) {
    if (isSyscallError(error)) return -1;
    throw error;
  }
}

function isThere(pid: number): boolean {
  return readDirectory("/proc").some(({ name }) => name === String(pid));
}

/** Writes a line to standard error, unless that would block: a stuck terminal or pipe must not stall the supervisor. */
function report(text: string): void {
  try {
    if (poll(STDERR, POLLOUT, 0) & POLLOUT) host.write(STDERR, `tcphup: ${text}\n`);
  } catch {
    // The terminal has been closed.
  }
}

/** Explains why the supervisor cannot work here; null when it can. */
function whyImpossible({ listener, fd }: Handover, on: ReadonlySet<HookedSyscall>): string | null {
  if (!supportsHangUp(listener)) return "this kernel is too old to supervise a program: Linux 5.9 can";
  if (!on.has("connect") && !on.has("listen")) return null;
  if (mayDuplicate(new Descriptor(COMMAND_FD), fd)) return null;
  return `the command's sockets cannot be duplicated: ${explainGetfdDenied()}; --on socket does not duplicate any`;
}
