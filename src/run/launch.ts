// `tcphup run`: starts a program so that keepalive is on for all TCP sockets of it and of its descendants.

import { host } from "../../ffi/deno.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { geteuid } from "../../ffi/process.ts";
import { execute } from "../../ffi/spawn.ts";
import { pidfdOpen } from "../../ffi/pidfd.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { syscallAbis } from "../../ffi/seccomp.ts";
import { socketpair } from "../../ffi/unix.ts";
import { avoidsBpf } from "../front/policy.ts";
import type { KeepaliveValues } from "../keepalive/values.ts";
import { encodeConfig, SUPERVISE, warnsOnce } from "./supervisor_config.ts";
import { compileFilter, type HookedSyscall, install } from "./seccomp_filter.ts";
import { awaitStart, handOver } from "./handover.ts";
import { inheritedEnvironment, lookUp, rawArguments } from "../linux/proc/environ.ts";
import { startRespawning, type Stderr } from "./respawn.ts";
import { cannotExecute, findProgram, privilegesOf } from "./executable.ts";
import { leaveOuterRuns, OwnCgroup } from "./own_cgroup.ts";
import { restoreProcessState } from "./process_state.ts";
import { hasCapability, yamaForbids, yamaScope } from "../linux/proc/permissions.ts";
import { UnsupportedError, UsageError } from "../model/errors.ts";

export { HOOKED_SYSCALLS, type HookedSyscall } from "./seccomp_filter.ts";

/** The program to launch, and the options of its supervision. */
export interface LaunchOptions {
  /** The program, looked for in PATH unless it contains a slash, and its arguments. */
  readonly command: readonly string[];
  readonly values: KeepaliveValues;
  /**
   * The calls at which a socket is given the values; null to choose by what this host permits. Other calls than connect and
   * listen take a supervisor.
   */
  readonly on: ReadonlySet<HookedSyscall> | null;
  /**
   * Tells who sets the values, and has a supervisor report to standard error what it could not set. It holds standard error
   * open for that.
   */
  readonly debug: boolean;
  /** Called with each warning, a line. */
  readonly warn: (line: string) => void;
}

/**
 * Has every TCP socket of `command` and of its descendants given the values, and executes `command` in this process, which
 * keeps its process id, its parent, its terminal and its descriptors.
 *
 * Where it may, it moves this process into a control group whose sockets a BPF program sets: see own_cgroup.ts. Otherwise
 * it starts a supervisor.
 *
 * A seccomp filter has the kernel ask a supervisor at each call of `on`; any other call is allowed by its number alone.
 * The supervisor lets every call proceed, even when it could not set anything. It is no relative of the command's and
 * in a session of its own, and lives until the last process under the filter ends. When it is killed a shell starts it
 * anew, and calls wait meanwhile; when it cannot be started anew, the shell kills the command. When the shell is killed
 * as well, the calls fail with ENOSYS. A watcher, started at the first call, replaces a supervisor that is stuck in the
 * kernel. Connections made through io_uring, and sockets that a process has been given already listening, are not seen.
 *
 * With `socket`, the supervisor makes the socket itself, in the network namespace and as the user of the calling
 * thread, and hands it over. That needs no right to duplicate descriptors of other processes, but takes longer.
 *
 * The program starts itself once more as the supervisor: with `supervise` as its first argument it must call `supervise`
 * (src/run/supervise.ts) with the rest.
 *
 * @throws {UsageError} Without a command.
 * @throws {CommandError} When the command is not found, or not executable.
 * @throws {UnsupportedError} When this host, or this user, cannot supervise a program. The command has not been started then.
 */
export function launch(options: LaunchOptions): never {
  const { command } = options;
  const [name] = command;
  if (name === undefined) {
    throw new UsageError("No command to run: expected tcphup run [VALUES] [--] COMMAND [ARG...]");
  }
  const { program, environment, cgroup } = prepare(name, options);
  try {
    execute(program, rawArguments(command), environment);
  } catch (error) {
    cgroup?.leave();
    throw isSyscallError(error) ? cannotExecute(program, error.code) : error;
  }
}

/**
 * Prepares this process for the program: its control group or its supervisor, and the state that the runtime has changed.
 *
 * @returns The program, its environment, and the control group that this process has moved into; null with a supervisor.
 */
function prepare(
  name: string,
  options: LaunchOptions,
): { program: string; environment: Uint8Array[]; cgroup: OwnCgroup | null } {
  const { debug, warn } = options;
  try {
    const environment = inheritedEnvironment();
    const program = findProgram(name, lookUp(environment, "PATH"));
    const cgroup = enterCgroup(options);
    if (cgroup === null) {
      if (!leaveOuterRuns()) warn("the values of the tcphup run outside of this one count");
      if (superviseFromHere(options, environment).noNewPrivs) warnOfPrivileges(program, warn);
    }
    for (const note of restoreProcessState()) if (debug) warn(note);
    return { program, environment, cgroup };
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    throw new UnsupportedError(`the command cannot be supervised: ${error.message}`, { cause: error });
  }
}

/** The beginning of the line with which `debug` tells who sets the values. */
export const WAY = "the values are set ";

/** Moves this process into a control group whose sockets get the values from the kernel; null where a supervisor is needed. */
function enterCgroup({ values, on, debug, warn }: LaunchOptions): OwnCgroup | null {
  const tell = (way: string) => {
    if (debug) warn(`${WAY}by ${way}`);
  };
  try {
    if (avoidsBpf()) throw new UnsupportedError("--no-bpf");
    if (on !== null && !(on.size === 2 && on.has("connect") && on.has("listen"))) {
      throw new UnsupportedError(`--on ${[...on].join(",")}`);
    }
    const cgroup = OwnCgroup.enter(values);
    tell(`a BPF program on the control group ${cgroup.path}`);
    return cgroup;
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    tell(`a supervisor: ${error.message}`);
    return null;
  }
}

/** Starts the supervisor and installs the filter on this thread. A failure undoes nothing, as this process then ends. */
function superviseFromHere(options: LaunchOptions, environment: Uint8Array[]): { noNewPrivs: boolean } {
  const { values, debug, warn } = options;
  const on = options.on ?? chooseSyscalls(warn);
  const [socket, handoverSocket] = socketpair();
  try {
    const supervisor = [
      ...host.selfCommand,
      SUPERVISE,
      ...encodeConfig({ on, debug, stalls: [], values: { ...values } }),
    ];
    const stderr = debug ? "all" : warnsOnce({ on, debug }) ? "first" : "none";
    startBeside(handoverSocket, environment, supervisor, stderr);
    handoverSocket.close();
    awaitStart(socket);
    const { listener, noNewPrivs } = install(compileFilter(syscallAbis(), on));
    handOver(socket, listener);
    listener.close();
    return { noNewPrivs };
  } finally {
    // A supervisor that still waits for the listener now reads the end of the stream.
    socket.close();
  }
}

/**
 * Chooses `socket` under Yama, where a supervisor, being no ancestor of the command's processes, may not duplicate
 * sockets.
 */
function chooseSyscalls(warn: (line: string) => void): ReadonlySet<HookedSyscall> {
  const scope = yamaScope();
  if (!yamaForbids(scope, hasCapability("CAP_SYS_PTRACE"))) return new Set(["connect", "listen"]);
  warn(
    `--on socket is taken: kernel.yama.ptrace_scope ${scope} keeps the supervisor from sockets that the command has made; ` +
      "those of a process in another control group, or that may not be looked into, stay as they are",
  );
  return new Set(["socket"]);
}

function startBeside(
  handoverSocket: Descriptor,
  environment: Uint8Array[],
  supervisor: string[],
  stderr: Stderr,
): void {
  const command = pidfdOpen(host.pid);
  try {
    startRespawning({ supervisor, environment, handoverSocket, command, stderr });
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    throw new UnsupportedError(`/bin/sh, which looks after the supervisor, cannot be started: ${error.code}`, {
      cause: error,
    });
  } finally {
    command.close();
  }
}

function warnOfPrivileges(program: string, warn: (line: string) => void): void {
  const privileges = privilegesOf(program, geteuid());
  if (privileges === null) return;
  warn(`"${program}" is ${privileges}, which has no effect: without CAP_SYS_ADMIN the kernel wants no_new_privs set`);
}
