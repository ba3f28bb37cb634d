// The processes beside the command: the supervisor, and a shell that starts it anew should it end before its time.
//
// Both are in a session of their own and children of init (or of the nearest subreaper), not of the command, which may
// well wait for any child. The shell holds the one socket in which the listener lies: while it lives the kernel keeps
// calls waiting for a supervisor, instead of failing them with ENOSYS.

import { isSyscallError } from "../../ffi/errno.ts";
import { Descriptor, duplicateFrom } from "../../ffi/descriptor.ts";
import { SIGUSR2 } from "../../ffi/signal.ts";
import { type FileAction, spawn, wait } from "../../ffi/spawn.ts";
import { O_RDWR } from "../../ffi/fs.ts";

/** The supervisor's descriptors: where the listener is fetched, and a pidfd of the command. */
export const HANDOVER_FD = 3;
export const COMMAND_FD = 4;
export const STDERR = 2;

/** What the supervisor exits with. After `finished` the shell ends, after anything else it starts another one. */
export const EXIT = { finished: 0, again: 255 } as const;

/** The signal that ends a supervisor for which another one has been started already: the shell ends with it. */
export const REPLACED = SIGUSR2;

/** What the shell tells tcphup, should that still wait, when the supervisor has ended: its exit status follows. */
export const ENDED = "ended ";

/** More restarts than this, and so many seconds, are taken for a supervisor that cannot be kept alive. */
const MOST_RESTARTS = 15;
const WITHIN_S = 30;

/**
 * Runs "$@", the supervisor, until the command's processes are gone. Both ignore what ends a session or a service: the
 * command may still connect while it shuts down. When the supervisor cannot be kept alive the command, which fdinfo of
 * its pidfd names, is killed: a program all of whose connects fail should not go on.
 */
const script = (stderr: Stderr) =>
  `(
trap "" HUP INT QUIT TERM PIPE
cd /
lives() {
  while read -r key pid; do
    [ "$key" = Pid: ] && [ "$pid" -gt 0 ] && return
  done </proc/self/fdinfo/${COMMAND_FD}
  return 1
}
told= restarts=0 since=0
while :; do
  "$@" &
  ${stderr === "first" ? "exec 2>/dev/null" : ""}
  wait $!
  status=$?
  [ $status -ne ${EXIT.finished} ] && [ $status -ne ${128 + REPLACED} ] || exit
  echo "${ENDED}$status" 2>/dev/null >&${HANDOVER_FD} && told=1
  [ -z "$told" ] || lives || exit
  read -r now rest </proc/uptime
  now=\${now%.*}
  [ $((now - since)) -lt ${WITHIN_S} ] || restarts=0 since=$now
  restarts=$((restarts + 1))
  [ $restarts -le ${MOST_RESTARTS} ] || break
  [ $restarts -eq 1 ] || sleep 1
done
lives && kill -KILL "$pid"
) &`;

/** Where the shell finds sleep(1), whatever the command's PATH: on NixOS not in the first two. */
const PATH = "PATH=/usr/bin:/bin:/run/current-system/sw/bin";
/** What tcphup needs of the command's environment to start: libraries, Deno's cache, koffi. The rest is not kept. */
const NEEDED = ["LD_LIBRARY_PATH", "HOME", "XDG_CACHE_HOME", "DENO_DIR", "DENO_V8_FLAGS", "NODE_PATH"];

/** What to start beside the command. */
export interface RespawnOptions {
  /** The command line of the supervisor. */
  readonly supervisor: readonly string[];
  readonly environment: readonly Uint8Array[];
  /** The supervisor's end of a socket pair, where it finds the listener. */
  readonly handoverSocket: Descriptor;
  /** A pidfd of the command. */
  readonly command: Descriptor;
  /** The numbers of this process's descriptors: neither of the two is to hold open what the command has inherited. */
  readonly open: readonly number[];
  readonly stderr: Stderr;
}

/** Whether supervisors have standard error: all of them, the first one, which is to drop it in time, or none. */
export type Stderr = "all" | "first" | "none";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Starts the shell and the supervisor, and returns when they have left this process's family.
 *
 * @throws {SyscallError} When /bin/sh cannot be started.
 */
export function startRespawning(
  { supervisor, environment, handoverSocket, command, open, stderr }: RespawnOptions,
): void {
  const args = ["sh", "-c", script(stderr), "tcphup", ...supervisor].map((arg) => encoder.encode(arg));
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
    stderr === "none" ? nothing(STDERR) : copy(new Descriptor(STDERR), STDERR),
    copy(handoverSocket, HANDOVER_FD),
    copy(command, COMMAND_FD),
    ...open.filter((fd) => fd > COMMAND_FD).map((fd): FileAction => ({ action: "close", fd })),
  ];
  try {
    waitUnlessReaped(spawn("/bin/sh", args, environmentOf(environment), actions));
  } finally {
    for (const descriptor of copies) descriptor.close();
  }
}

/** What the shell and the supervisor have of an environment. */
export function environmentOf(environment: readonly Uint8Array[]): Uint8Array[] {
  const isNeeded = (entry: Uint8Array) => NEEDED.includes(decoder.decode(entry).split("=", 1)[0]);
  return [encoder.encode(PATH), ...environment.filter(isNeeded)];
}

/** The outer shell ends at once. A process that ignores SIGCHLD is not told so: the kernel has reaped it. */
function waitUnlessReaped(pid: number): void {
  try {
    wait(pid);
  } catch (error) {
    if (!isSyscallError(error, "ECHILD")) throw error;
  }
}
