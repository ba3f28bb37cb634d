// The processes beside the command: the supervisor, and a shell that starts it anew should it be killed.
//
// Both are in a session of their own and children of init (or of the nearest subreaper), not of the command, which may
// well wait for any child. The shell holds the one socket in which the listener lies: while it lives the kernel keeps
// calls waiting for a supervisor, instead of failing them with ENOSYS.

import { Descriptor, isSyscallError } from "../../ffi/libc.ts";
import { duplicateFrom, type FileAction, O_RDWR, spawn, wait } from "../../ffi/process.ts";

const STDERR = 2;
/** The supervisor's descriptors: where the listener is fetched, and a pidfd of the command. */
export const SHELF_FD = 3;
export const COMMAND_FD = 4;

/** What the supervisor exits with. Above 128 it is started anew, as if it had been killed by a signal. */
export const EXIT = { finished: 0, cannot: 4, again: 255 } as const;

/**
 * Runs "$@", the supervisor, until the command's processes are gone. Both ignore what ends a session or a service: the
 * command may still connect while it shuts down. When the supervisor cannot be kept alive the command, which fdinfo of
 * its pidfd names, is killed: a program all of whose connects fail should not go on. A first start that fails is left to
 * tcphup, which still waits for it.
 */
export const SCRIPT = `(
trap "" HUP INT QUIT TERM
cd /
for start in 1 2 3 4 5 6 7 8 9 10; do
  "$@"
  status=$?
  [ $status -gt 128 ] || break
  sleep 1
done
[ $status -ne 0 ] && [ $start -ne 1 ] || exit
while read -r key pid; do
  [ "$key" = Pid: ] && [ "$pid" -gt 0 ] && kill -KILL "$pid"
done </proc/self/fdinfo/${COMMAND_FD}
) &`;

/** What to start beside the command. */
export interface Keeper {
  /** The command line of the supervisor. */
  readonly supervisor: readonly string[];
  readonly environment: readonly Uint8Array[];
  /** The supervisor's end of a socket pair, where it finds the listener. */
  readonly shelf: Descriptor;
  /** A pidfd of this process. */
  readonly command: Descriptor;
  /** The numbers of this process's descriptors: neither of the two is to hold open what the command has inherited. */
  readonly open: readonly number[];
  /** Whether the supervisor may write to standard error. */
  readonly debug: boolean;
}

const encoder = new TextEncoder();

/**
 * Starts the shell and the supervisor, and returns when they have left this process's family.
 *
 * @throws {SyscallError} When /bin/sh cannot be started.
 */
export function startKeeper({ supervisor, environment, shelf, command, open, debug }: Keeper): void {
  const args = ["sh", "-c", SCRIPT, "tcphup", ...supervisor].map((arg) => encoder.encode(arg));
  const nothing = (fd: number): FileAction => ({ action: "open", fd, path: "/dev/null", flags: O_RDWR });
  // Copied from above where they are copied to, so that none overwrites the source of the next.
  const copies: Descriptor[] = [];
  const copy = (from: Descriptor, to: number): FileAction => {
    copies.push(duplicateFrom(from, COMMAND_FD + 1));
    return { action: "duplicate", from: copies.at(-1)!, to };
  };
  const actions: FileAction[] = [
    nothing(0),
    nothing(1),
    debug ? copy(new Descriptor(STDERR), STDERR) : nothing(STDERR),
    copy(shelf, SHELF_FD),
    copy(command, COMMAND_FD),
    ...open.filter((fd) => fd > COMMAND_FD).map((fd): FileAction => ({ action: "close", fd })),
  ];
  try {
    waitUnlessReaped(spawn("/bin/sh", args, environment, actions));
  } finally {
    for (const descriptor of copies) descriptor.close();
  }
}

/** The outer shell ends at once. A process that ignores SIGCHLD is not told so: the kernel has reaped it. */
function waitUnlessReaped(pid: number): void {
  try {
    wait(pid);
  } catch (error) {
    if (!isSyscallError(error, "ECHILD")) throw error;
  }
}
