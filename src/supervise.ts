// The process that `tcphup run` starts beside the command. It is tcphup once more, by a command that no help mentions.

import { host } from "../ffi/deno.ts";
import { Descriptor, isSyscallError } from "../ffi/libc.ts";
import { poll, POLLOUT } from "../ffi/poll.ts";
import { callers, hasHangup, takeTurns } from "../ffi/seccomp.ts";
import { apply, type SocketUse } from "./keepalive/options.ts";
import { SYSTEM_VALUES } from "./keepalive/values.ts";
import { decodeDuty, type Duty } from "./launch/duty.ts";
import type { Moment } from "./launch/filter.ts";
import { answer, type Handover, mayDuplicate, takeOver } from "./launch/handover.ts";
import { COMMAND_FD, EXIT, SHELF_FD } from "./launch/keeper.ts";
import { Supervisor } from "./launch/supervisor.ts";
import { missingForGetfd } from "./owners/permission.ts";
import { UsageError } from "./usage_error.ts";

const USES: Record<Moment, SocketUse> = { connect: "connect", listen: "listen", socket: "new" };

/**
 * Is the supervisor that `launch` starts beside the command, until the last process under the filter has gone.
 *
 * @param args What follows `supervise` on the command line.
 * @returns The exit status, by which the shell that has started it decides whether to start it anew.
 * @throws {UsageError} When it was not started by `launch`.
 */
export function supervise(args: readonly string[]): number {
  const duty = decodeDuty(args);
  const shelf = new Descriptor(SHELF_FD);
  const handover = fetchHandover(shelf);
  if (handover === null) return EXIT.finished;
  const why = whyImpossible(handover, duty.on);
  const isFirst = answer(shelf, why);
  if (isFirst && why !== null) return EXIT.cannot;
  // From here on the command runs and relies on it.
  try {
    if (!isFirst && duty.debug) report("the supervisor was killed and has been started again");
    takeTurns(handover.listener);
    supervisor(handover, duty).run();
    return EXIT.finished;
  } catch (error) {
    if (duty.debug) report(String(error));
    return EXIT.again;
  }
}

function fetchHandover(shelf: Descriptor): Handover | null {
  try {
    return takeOver(shelf);
  } catch (error) {
    if (!isSyscallError(error, "EBADF", "ENOTSOCK")) throw error;
    throw new UsageError("supervise is not a command to type: tcphup run starts it");
  }
}

function supervisor({ listener, notification }: Handover, { debug, values }: Duty): Supervisor {
  const keepalive = { ...SYSTEM_VALUES, ...values };
  return new Supervisor(listener, notification, {
    callers: callers(),
    setOptions(socket, moment) {
      for (const { option, value, error } of apply(socket, keepalive, USES[moment])) {
        if (error !== null && debug) report(`${moment}: ${option} ${value}: ${error}`);
      }
    },
    report: debug ? report : () => {},
  });
}

const STDERR = 2;

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
  return `the command's sockets cannot be duplicated: ${missingForGetfd()}; --on socket does not duplicate any`;
}
