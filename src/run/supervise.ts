// The processes that `tcphup run` starts beside the command: tcphup itself, with the hidden command `supervise`.

import { host } from "../../ffi/deno.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { Descriptor } from "../../ffi/descriptor.ts";
import { pollAll, POLLIN } from "../../ffi/poll.ts";
import { setShortSlice } from "../../ffi/process.ts";
import { ignoreSignal, SIGHUP, SIGINT, SIGQUIT, SIGTERM } from "../../ffi/signal.ts";
import { hasHungUp, probeSeccomp, setSyncWakeUp, supportsHangUp } from "../../ffi/seccomp.ts";
import { decodeConfig, type SupervisorConfig, warnsOnce, WATCH } from "./supervisor_config.ts";
import type { HookedSyscall } from "./seccomp_filter.ts";
import { answer, type Handover, mayDuplicate, receiveHandover, STARTED } from "./handover.ts";
import { HeldStderr, report } from "./held_stderr.ts";
import { COMMAND_FD, EXIT, HANDOVER_FD } from "./respawn.ts";
import { Supervisor } from "./supervisor.ts";
import { watch } from "./watcher.ts";
import { explainGetfdDenied } from "../linux/proc/permissions.ts";
import { UsageError } from "../model/errors.ts";

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
    new Supervisor(handover, config, stderr).run();
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

function runWatcher(pid: number, config: SupervisorConfig): number {
  const handover = startedByLaunch(() => receiveHandover(new Descriptor(HANDOVER_FD)));
  if (handover !== null) watch(pid, handover, config);
  return EXIT.finished;
}

/** Explains why the supervisor cannot work here; null when it can. */
function whyImpossible({ listener, fd }: Handover, on: ReadonlySet<HookedSyscall>): string | null {
  if (!supportsHangUp(listener)) return "this kernel is too old to supervise a program: Linux 5.9 can";
  if (!on.has("connect") && !on.has("listen")) return null;
  if (mayDuplicate(new Descriptor(COMMAND_FD), fd)) return null;
  return `the command's sockets cannot be duplicated: ${explainGetfdDenied()}; --on socket does not duplicate any`;
}
