// `tcphup run`: starting a program so that keepalive is on for all TCP sockets of it and of what it starts.

import { host } from "../ffi/deno.ts";
import { type Descriptor, geteuid, isSyscallError, O_DIRECTORY, open, pidfdOpen } from "../ffi/libc.ts";
import { execute } from "../ffi/process.ts";
import { callers } from "../ffi/seccomp.ts";
import { socketpair } from "../ffi/unix.ts";
import type { KeepaliveValues } from "./keepalive/values.ts";
import { encodeDuty, SUPERVISE } from "./launch/duty.ts";
import { compileFilter, type Moment } from "./launch/filter.ts";
import { handOver } from "./launch/handover.ts";
import { inheritedEnvironment, lookUp, rawArguments, restoreHeritage } from "./launch/heritage.ts";
import { install } from "./launch/install.ts";
import { startKeeper } from "./launch/keeper.ts";
import { cannotExecute, findProgram, privilegesOf } from "./launch/program.ts";
import { readNumbers } from "./owners/proc.ts";
import { Unsupported } from "./unsupported.ts";
import { UsageError } from "./usage_error.ts";

export { SUPERVISE } from "./launch/duty.ts";
export { CommandError } from "./launch/error.ts";
export { type Moment, MOMENTS } from "./launch/filter.ts";

/** What to launch, and how. */
export interface LaunchOptions {
  /** The program, looked for in PATH unless it contains a slash, and its arguments. */
  readonly command: readonly string[];
  readonly values: KeepaliveValues;
  /** The calls at which a socket is given the values. */
  readonly on: ReadonlySet<Moment>;
  /** Have the supervisor write to standard error what it could not set. It holds standard error open for that. */
  readonly debug: boolean;
  /** Told, one line each, what the person who launches should know. */
  readonly warn: (line: string) => void;
}

/**
 * Turns this process into `command`, once every TCP socket of it and of its descendants will be given the values. It
 * keeps its process id, its parent, its terminal and its descriptors.
 *
 * The program must answer to `supervise` as its first argument by calling `supervise` with the rest (src/supervise.ts):
 * that is how it starts itself once more, as the supervisor.
 *
 * @throws {UsageError} Without a command.
 * @throws {CommandError} When the command is not found, or not executable.
 * @throws {Unsupported} When this host, or this user, cannot supervise a program. The command has not been started then.
 */
export function launch(options: LaunchOptions): never {
  const { command } = options;
  if (command.length === 0) throw new UsageError("No command to run: expected tcphup run [VALUES] -- COMMAND [ARG...]");
  const { program, environment } = prepare(options);
  try {
    execute(program, rawArguments(command), environment);
  } catch (error) {
    throw isSyscallError(error) ? cannotExecute(program, error.code) : error;
  }
}

/** All that comes before the program: when it returns, this process is as the program is to find it. */
function prepare(options: LaunchOptions): { program: string; environment: Uint8Array[] } {
  const { command, debug, warn } = options;
  try {
    const environment = inheritedEnvironment();
    const program = findProgram(command[0], lookUp(environment, "PATH"));
    const { noNewPrivs } = superviseFromHere(options, environment);
    if (noNewPrivs) warnOfPrivileges(program, warn);
    for (const note of restoreHeritage(host.parent)) if (debug) warn(note);
    return { program, environment };
  } catch (error) {
    throw isSyscallError(error) ? new Unsupported(`the command cannot be supervised: ${error.message}`) : error;
  }
}

/** Starts the supervisor and has it answer for this thread. Neither is undone when it fails: this process is to end. */
function superviseFromHere({ values, on, debug }: LaunchOptions, environment: Uint8Array[]): { noNewPrivs: boolean } {
  const [socket, shelf] = socketpair();
  try {
    const supervisor = [...host.self, SUPERVISE, ...encodeDuty({ on, debug, values: { ...values } })];
    startBeside(shelf, environment, supervisor, debug);
    shelf.close();
    const { listener, noNewPrivs } = install(compileFilter(callers(), on));
    handOver(socket, listener);
    listener.close();
    return { noNewPrivs };
  } finally {
    // A supervisor that still waits for the listener reads the end.
    socket.close();
  }
}

function startBeside(shelf: Descriptor, environment: Uint8Array[], supervisor: string[], debug: boolean): void {
  const command = pidfdOpen(host.pid);
  const directory = open(null, "/proc/self/fd", O_DIRECTORY);
  try {
    startKeeper({ supervisor, environment, shelf, command, open: readNumbers(directory), debug });
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    throw new Unsupported(`/bin/sh, which looks after the supervisor, cannot be started: ${error.code}`);
  } finally {
    directory.close();
    command.close();
  }
}

function warnOfPrivileges(program: string, warn: (line: string) => void): void {
  const privileges = privilegesOf(program, geteuid());
  if (privileges === null) return;
  warn(`"${program}" is ${privileges}, which has no effect: without CAP_SYS_ADMIN the kernel wants no_new_privs set`);
}
