// The processes beside the command: the supervisor, and a shell that starts it anew when it ends too early.
//
// Both are in a session of their own and children of init (or of the nearest subreaper), not of the command, which may
// wait for any child. The shell holds the socket with the listener's message: while the shell lives, the kernel keeps
// calls waiting for a supervisor instead of failing them with ENOSYS.

import { withTracked } from "../../ffi/closing.ts";
import { attempt } from "../../ffi/errno.ts";
import { readDirectory } from "../../ffi/files.ts";
import { Descriptor, duplicateFrom } from "../../ffi/descriptor.ts";
import { SIGUSR2 } from "../../ffi/signal.ts";
import { type FileAction, spawn, wait } from "../../ffi/spawn.ts";
import { O_RDWR } from "../../ffi/fs.ts";

/** The supervisor's descriptors: the socket with the handover message, and a pidfd of the command. */
export const HANDOVER_FD = 3;
export const COMMAND_FD = 4;
export const STDERR = 2;

/** The supervisor's exit statuses. After `finished` the shell ends, after any other it starts another supervisor. */
export const EXIT = { finished: 0, again: 255 } as const;

/** The signal that ends a supervisor which has been replaced. Its shell then ends too. */
export const REPLACED = SIGUSR2;

/** The shell's message, followed by the exit status, when the supervisor has ended while tcphup waits for it. */
export const ENDED = "ended ";

/** After more restarts than this within so many seconds, the supervisor counts as one that cannot be kept alive. */
const MOST_RESTARTS = 15;
const WITHIN_S = 30;

/**
 * The shell's script. It runs "$@", the supervisor, until the last process under the filter has ended. Both ignore the
 * signals that end a session or a service, as the command may still connect while it shuts down. When the supervisor
 * cannot be kept alive the shell kills the command, whose id it reads from fdinfo of the pidfd: all its connects would
 * fail. By which signal a supervisor has ended, which shells tell in wait, is nobody's concern.
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
  wait $! 2>/dev/null
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

/** The shell's PATH, for sleep(1): on NixOS that is in the last directory. */
const PATH = "PATH=/usr/bin:/bin:/run/current-system/sw/bin";
/** The variables that tcphup takes over from the command's environment: for libraries, Deno's cache, koffi. */
const NEEDED = ["LD_LIBRARY_PATH", "HOME", "XDG_CACHE_HOME", "DENO_DIR", "DENO_V8_FLAGS", "NODE_PATH"];

/** The processes to start beside the command. */
export interface RespawnOptions {
  /** The command line of the supervisor. */
  readonly supervisor: readonly string[];
  readonly environment: readonly Uint8Array[];
  /** The supervisor's end of the socket pair for the handover. */
  readonly handoverSocket: Descriptor;
  /** A pidfd of the command. */
  readonly command: Descriptor;
  readonly stderr: Stderr;
}

/** The supervisors that have standard error: all, only the first, which drops it in time, or none. */
export type Stderr = "all" | "first" | "none";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Starts the shell and the supervisor, and returns when they are no longer children of this process.
 *
 * @throws {SyscallError} When /bin/sh cannot be started.
 */
export function startRespawning(
  { supervisor, environment, handoverSocket, command, stderr }: RespawnOptions,
): void {
  const args = ["sh", "-c", script(stderr), "tcphup", ...supervisor].map((arg) => encoder.encode(arg));
  const nothing = (fd: number): FileAction => ({ action: "open", fd, path: "/dev/null", flags: O_RDWR });
  // The new processes hold none of the command's descriptors open.
  const open = readDirectory("/proc/self/fd").map(({ name }) => Number(name)).filter((fd) => fd > COMMAND_FD);
  withTracked((track) => {
    // The sources are duplicated above all targets, so that no target overwrites the next source.
    const copy = (from: Descriptor, to: number): FileAction => {
      return { action: "duplicate", from: track(duplicateFrom(from, COMMAND_FD + 1)), to };
    };
    const actions: FileAction[] = [
      nothing(0),
      nothing(1),
      stderr === "none" ? nothing(STDERR) : copy(new Descriptor(STDERR), STDERR),
      copy(handoverSocket, HANDOVER_FD),
      copy(command, COMMAND_FD),
      ...open.map((fd): FileAction => ({ action: "close", fd })),
    ];
    const shell = spawn("/bin/sh", args, environmentOf(environment), actions);
    // It ends at once. When this process ignores SIGCHLD, the kernel reaps it (ECHILD).
    attempt(() => wait(shell), "ECHILD");
  });
}

/** Returns the shell's and the supervisor's part of an environment. */
function environmentOf(environment: readonly Uint8Array[]): Uint8Array[] {
  const nameOf = (entry: Uint8Array) => decoder.decode(entry).replace(/=.*/s, "");
  return [encoder.encode(PATH), ...environment.filter((entry) => NEEDED.includes(nameOf(entry)))];
}
