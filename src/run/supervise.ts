// The processes that `tcphup run` starts beside the command. They are tcphup once more, by a command that no help mentions.

import { host } from "../../ffi/deno.ts";
import { entriesOf, readTextFile } from "../../ffi/files.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { Descriptor } from "../../ffi/descriptor.ts";
import { poll, pollAll, POLLIN, POLLOUT } from "../../ffi/poll.ts";
import { runSoonWhenWoken } from "../../ffi/process.ts";
import { callers, hasHangup, hasHungUp, letProceed, takeTurns, trySeccomp } from "../../ffi/seccomp.ts";
import { apply } from "../socket/keepalive_options.ts";
import type { SocketPhase } from "../keepalive/socket_options.ts";
import { SYSTEM_VALUES } from "../keepalive/values.ts";
import { userOf } from "./syscall.ts";
import {
  decodeDuty,
  type Duty,
  encodeDuty,
  isGivenUp,
  remarks,
  remembered,
  SUPERVISE,
  WATCH,
} from "./supervisor_config.ts";
import type { Moment } from "./seccomp_filter.ts";
import { answer, type Handover, mayDuplicate, STARTED, takeOver } from "./handover.ts";
import { HeldStderr } from "./held_stderr.ts";
import { inheritedEnvironment } from "../linux/proc/environ.ts";
import { COMMAND_FD, EXIT, SHELF_FD, startKeeper, STDERR } from "./respawn.ts";
import { StandInError } from "./socket_maker.ts";
import { Supervisor } from "./supervisor.ts";
import { openSupervisor, watch, Watcher } from "./watcher.ts";
import { explainGetfdDenied } from "../linux/proc/permissions.ts";
import { UsageError } from "../model/errors.ts";

const PHASES: Record<Moment, SocketPhase> = { connect: "connect", listen: "listen", socket: "new" };

/**
 * Is the supervisor that `launch` starts beside the command, until the last process under the filter has gone, or the
 * watcher of that supervisor.
 *
 * @param args What follows `supervise` on the command line.
 * @returns The exit status, by which the shell that has started it decides whether to start it anew.
 * @throws {UsageError} When it was not started by `launch`.
 */
export function supervise(args: readonly string[]): number {
  const [role, pid, ...rest] = args;
  return role === WATCH ? beWatcher(Number(pid), decodeDuty(rest)) : beSupervisor(decodeDuty(args));
}

function beSupervisor(duty: Duty): number {
  const shelf = new Descriptor(SHELF_FD);
  trySeccomp();
  const isFirst = startedByLaunch(() => answer(shelf, STARTED));
  const handover = takeOver(shelf);
  if (handover === null) return EXIT.finished;
  if (isFirst) {
    const why = whyImpossible(handover, duty.on);
    answer(shelf, why);
    if (why !== null) return EXIT.finished;
  }
  // From here on the command runs and relies on it.
  try {
    if (hasHungUp(handover.listener)) return EXIT.finished;
    if (!isFirst && duty.debug) report("the supervisor has ended, and another one has been started");
    takeTurns(handover.listener);
    runSoonWhenWoken();
    const stderr = new HeldStderr(isFirst && remarks(duty));
    dropUnlessCalled(handover.listener, stderr);
    supervisor(handover, duty, stderr).run();
    return EXIT.finished;
  } catch (error) {
    if (duty.debug) report(error instanceof Error ? error.message : String(error));
    return EXIT.again;
  }
}

/** Waits for the first call, while there is standard error to be dropped should the command end without one. */
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

function supervisor({ listener, notification }: Handover, duty: Duty, stderr: HeldStderr): Supervisor {
  const { debug, stalls } = duty;
  const keepalive = { ...SYSTEM_VALUES, ...duty.values };
  return new Supervisor(listener, notification, new Watcher(duty, stderr), {
    callers: callers(),
    leavesAlone: (tid) => stalls.length > 0 && isGivenUp(stalls, userOf(tid)),
    setOptions(socket, moment) {
      for (const { option, value, error } of apply(socket, keepalive, PHASES[moment])) {
        if (error !== null && debug) report(`${moment}: ${option} ${value}: ${error}`);
      }
    },
    report(text, error) {
      if (debug) report(text);
      else if (remarks(duty) && error instanceof StandInError) notification.makeRemark(text);
    },
  });
}

function beWatcher(pid: number, duty: Duty): number {
  const shelf = new Descriptor(SHELF_FD);
  const handover = startedByLaunch(() => takeOver(shelf));
  if (handover === null) return EXIT.finished;
  const stderr = new HeldStderr(remarks(duty));
  const supervisor = openSupervisor(pid);
  if (supervisor !== null) {
    watch({ ...handover, supervisor }, {
      replace: () => replace(pid, handover, duty),
      look: (hasEnded) => passOn(handover.notification.remark, stderr, hasEnded),
      stderr,
    });
  }
  passOn(handover.notification.remark, stderr, true);
  return EXIT.finished;
}

/** Says once, while there is somebody to be told, that a process goes without the values. */
function passOn(remark: string, stderr: HeldStderr, isLast: boolean): void {
  if (!stderr.isHeld || (remark === "" && !isLast)) return;
  if (remark !== "") report(`${remark}: its sockets have not got the values; --debug tells of each such call`);
  stderr.drop();
}

/** Has another supervisor take the place of the stuck one. Returns whether it has been started. */
function replace(pid: number, { listener, notification }: Handover, duty: Duty): boolean {
  const { id, tid } = notification;
  try {
    const second = Math.floor(parseFloat(readTextFile("/proc/uptime")));
    const stalls = [...remembered(duty.stalls, second, isThere), { uid: userOrNone(tid), pid, second }];
    // What the one is stuck over is not to hold up the next.
    letProceed(listener, id);
    startKeeper({
      supervisor: [...host.self, SUPERVISE, ...encodeDuty({ ...duty, stalls })],
      environment: inheritedEnvironment(),
      shelf: new Descriptor(SHELF_FD),
      command: new Descriptor(COMMAND_FD),
      open: entriesOf("/proc/self/fd").map(({ name }) => Number(name)),
      stderr: duty.debug ? "all" : "none",
    });
    if (duty.debug) report(`thread ${tid}: the supervisor is stuck in the kernel over its call, and is left behind`);
    return true;
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    if (duty.debug) report(`the supervisor is stuck, and another one cannot be started: ${error.message}`);
    return false;
  }
}

/** The user of a thread, −1 when it has gone. */
function userOrNone(tid: number): number {
  try {
    return userOf(tid);
  } catch (error) {
    if (isSyscallError(error)) return -1;
    throw error;
  }
}

function isThere(pid: number): boolean {
  return entriesOf("/proc").some(({ name }) => name === String(pid));
}

/** One line to standard error, if that can take it now: nobody is to wait for a terminal or a pipe that is stuck. */
function report(text: string): void {
  try {
    if (poll(STDERR, POLLOUT, 0) & POLLOUT) host.write(STDERR, `tcphup: ${text}\n`);
  } catch {
    // The terminal has gone.
  }
}

/** Why the supervisor cannot do its duty here, null when it can. */
function whyImpossible({ listener, fd }: Handover, on: ReadonlySet<Moment>): string | null {
  if (!hasHangup(listener)) return "this kernel is too old to supervise a program: Linux 5.9 can";
  if (!on.has("connect") && !on.has("listen")) return null;
  if (mayDuplicate(new Descriptor(COMMAND_FD), fd)) return null;
  return `the command's sockets cannot be duplicated: ${explainGetfdDenied()}; --on socket does not duplicate any`;
}
