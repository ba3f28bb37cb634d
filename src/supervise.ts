// The process that `tcphup run` starts beside the command. It is tcphup once more, by a command that no help mentions.

import { host } from "../ffi/deno.ts";
import { Descriptor } from "../ffi/libc.ts";
import { callers, hasAnswerWithDescriptor, hasHangup, takeTurns } from "../ffi/seccomp.ts";
import { apply, type SocketUse } from "./keepalive/options.ts";
import { SYSTEM_VALUES } from "./keepalive/values.ts";
import { decodeDuty } from "./launch/duty.ts";
import type { Moment } from "./launch/filter.ts";
import { answer, type Handover, mayDuplicate, takeOver } from "./launch/handover.ts";
import { COMMAND_FD, EXIT, SHELF_FD } from "./launch/keeper.ts";
import { Supervisor } from "./launch/supervisor.ts";
import { missingForGetfd } from "./owners/permission.ts";

const USES: Record<Moment, SocketUse> = { connect: "connect", listen: "listen", socket: "new" };

/**
 * Is the supervisor that `launch` starts beside the command, until the last process under the filter has gone.
 *
 * @param args What follows `supervise` on the command line.
 * @returns The exit status, by which the shell that has started it decides whether to start it anew.
 */
export function supervise(args: readonly string[]): number {
  const { on, debug, values } = decodeDuty(args);
  const shelf = new Descriptor(SHELF_FD);
  const handover = takeOver(shelf);
  if (handover === null) return EXIT.finished;
  const why = whyImpossible(handover, on);
  const first = answer(shelf, why);
  if (first && why !== null) return EXIT.cannot;
  const report = (text: string) => void (debug && host.write(2, `tcphup: ${text}\n`));
  if (!first) report("the supervisor was killed and has been started again");
  takeTurns(handover.listener);
  const keepalive = { ...SYSTEM_VALUES, ...values };
  const supervisor = new Supervisor(handover.listener, handover.notification, {
    callers: callers(),
    setOptions(socket, moment) {
      for (const { option, value, error } of apply(socket, keepalive, USES[moment])) {
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
  return `the command's sockets cannot be duplicated: ${missingForGetfd()}; --on socket does not duplicate any`;
}
