// `tcphup run`: starting a program so that keepalive is on for all TCP sockets of it and of what it starts.

import { host } from "../ffi/deno.ts";
import { Descriptor, geteuid, isSyscallError, O_DIRECTORY, open, pidfdOpen } from "../ffi/libc.ts";
import { execute } from "../ffi/process.ts";
import { callers, hasAnswerWithDescriptor, hasHangup, takeTurns } from "../ffi/seccomp.ts";
import { socketpair } from "../ffi/unix.ts";
import { apply, type SocketUse } from "./keepalive/options.ts";
import { KEEPALIVE_NAMES, type KeepaliveValues, SYSTEM_VALUES } from "./keepalive/values.ts";
import { compileFilter, type Moment } from "./launch/filter.ts";
import { answer, type Handover, handOver, mayDuplicate, takeOver } from "./launch/handover.ts";
import { inheritedEnvironment, lookUp, rawArguments, restoreHeritage } from "./launch/heritage.ts";
import { install } from "./launch/install.ts";
import { COMMAND_FD, EXIT, SHELF_FD, startKeeper } from "./launch/keeper.ts";
import { cannotExecute, findProgram, privilegesOf } from "./launch/program.ts";
import { Supervisor } from "./launch/supervisor.ts";
import { missingForGetfd } from "./owners/permission.ts";
import { readNumbers } from "./owners/proc.ts";
import { Unsupported } from "./unsupported.ts";
import { UsageError } from "./usage_error.ts";

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

/** The hidden command by which tcphup starts itself as the supervisor. */
export const SUPERVISE = "supervise";

/**
 * Turns this process into `command`, once every TCP socket of it and of its descendants will be given the values. It
 * keeps its process id, its parent, its terminal and its descriptors.
 *
 * The program must answer to `supervise` as its first argument by calling `supervise` with the rest, as tcphup does: that
 * is how it starts itself once more, as the supervisor.
 *
 * @throws {UsageError} Without a command.
 * @throws {CommandError} When the command is not found, or not executable.
 * @throws {Unsupported} When this host, or this user, cannot supervise a program. The command has not been started then.
 */
export function launch(options: LaunchOptions): never {
  const { command } = options;
  if (command.length === 0) throw new UsageError("No command to run: write it after --, as in tcphup run -- curl URL");
  const { program, environment } = prepare(options);
  try {
    execute(program, rawArguments(command), environment);
  } catch (error) {
    throw isSyscallError(error) ? cannotExecute(program, error.code) : error;
  }
}

/** All that comes before the program: when it returns, this process is as the program is to find it. */
function prepare({ command, values, on, debug, warn }: LaunchOptions): { program: string; environment: Uint8Array[] } {
  try {
    const environment = inheritedEnvironment();
    const program = findProgram(command[0], lookUp(environment, "PATH"));
    const [socket, shelf] = socketpair();
    startBeside(shelf, environment, [...host.self, SUPERVISE, ...encodeDuty({ values, on, debug })], debug);
    shelf.close();
    const { listener, noNewPrivs } = install(compileFilter(callers(), on));
    handOver(socket, listener);
    if (noNewPrivs) warnOfPrivileges(program, warn);
    for (const note of restoreHeritage(host.parent)) if (debug) warn(note);
    return { program, environment };
  } catch (error) {
    throw isSyscallError(error) ? new Unsupported(`the command cannot be supervised: ${error.message}`) : error;
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

/** What the supervisor is told on its command line. */
type Duty = Pick<LaunchOptions, "values" | "on" | "debug">;

function encodeDuty({ values, on, debug }: Duty): string[] {
  return [[...on].join(","), debug ? "debug" : "quiet", ...KEEPALIVE_NAMES.map((name) => `${name}=${values[name]}`)];
}

function decodeDuty([on, debug, ...settings]: readonly string[]): Duty {
  const values = {
    ...SYSTEM_VALUES,
    ...Object.fromEntries(settings.map((s) => s.split("=")).map(([n, v]) => [n, +v])),
  };
  return { values, on: new Set(on.split(",") as Moment[]), debug: debug === "debug" };
}

const USES: Record<Moment, SocketUse> = { connect: "connect", listen: "listen", socket: "new" };

/**
 * Is the supervisor that `launch` starts beside the command, until the last process under the filter has gone.
 *
 * @param args What follows `supervise` on the command line.
 * @returns The exit status, by which the shell that has started it decides whether to start it anew.
 */
export function supervise(args: readonly string[]): number {
  const duty = decodeDuty(args);
  const shelf = new Descriptor(SHELF_FD);
  const handover = takeOver(shelf);
  if (handover === null) return EXIT.finished;
  const why = whyImpossible(handover, duty.on);
  const first = answer(shelf, why);
  if (first && why !== null) return EXIT.cannot;
  const report = (text: string) => void (duty.debug && host.write(2, `tcphup: ${text}\n`));
  if (!first) report("the supervisor was killed and has been started again");
  takeTurns(handover.listener);
  const supervisor = new Supervisor(handover.listener, handover.notification, {
    callers: callers(),
    setOptions(socket, moment) {
      for (const { option, value, error } of apply(socket, duty.values, USES[moment])) {
        if (error !== null) report(`${moment}: ${option} ${value}: ${error}`);
      }
    },
    report,
  });
  try {
    supervisor.run();
    return EXIT.finished;
  } catch (error) {
    report(String(error));
    return EXIT.again;
  }
}

/** Why the supervisor cannot do its duty here, null when it can. */
function whyImpossible({ listener, fd }: Handover, on: ReadonlySet<Moment>): string | null {
  if (!hasHangup(listener)) return "this kernel is too old to supervise a program: Linux 5.9 can";
  if (on.has("socket") && !hasAnswerWithDescriptor(listener)) {
    return "this kernel cannot hand a socket to a program: Linux 5.14 can, and --on connect,listen needs less";
  }
  if (!on.has("connect") && !on.has("listen")) return null;
  if (mayDuplicate(new Descriptor(COMMAND_FD), fd)) return null;
  return `the sockets of other processes cannot be reached: pidfd_getfd ${missingForGetfd()}; --on socket does without`;
}
