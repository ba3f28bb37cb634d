// pidfd_open(2), pidfd_getfd(2) and pidfd_send_signal(2): a process, or a thread, as a descriptor.

import { check, checkCall, lazily } from "./call.ts";
import { Descriptor } from "./descriptor.ts";
import { SYS_pidfd_getfd, SYS_pidfd_open, SYS_pidfd_send_signal } from "./unistd.ts";

const pidfdSymbols = lazily({
  pidfd_open: { name: "syscall", parameters: ["usize", "i32", "u32"], result: "i32" },
});

const getfdSymbols = lazily({
  pidfd_getfd: { name: "syscall", parameters: ["usize", "i32", "i32", "u32"], result: "i32" },
});

const signalSymbols = lazily({
  pidfd_send_signal: { name: "syscall", parameters: ["usize", "i32", "i32", "usize", "u32"], result: "i32" },
});

/** O_EXCL to pidfd_open(2): the task itself, not the process that it leads. Linux ≥ 6.9. */
const PIDFD_THREAD = 0o200;

/**
 * pidfd_open(2): a descriptor that refers to the process, or to the single thread, and to no later one with its
 * number. Linux ≥ 5.3.
 *
 * @throws {SyscallError} `ESRCH` when it has gone, `EINVAL` for a thread before Linux 6.9.
 */
export function pidfdOpen(task: number, isThread = false): Descriptor {
  const flags = isThread ? PIDFD_THREAD : 0;
  return new Descriptor(checkCall("pidfd_open", () => pidfdSymbols().pidfd_open(SYS_pidfd_open, task, flags)));
}

/**
 * pidfd_getfd(2): a duplicate of a descriptor that another process holds. Linux ≥ 5.6. It asks for
 * PTRACE_MODE_ATTACH_REALCREDS: the same user and a dumpable process, or CAP_SYS_PTRACE.
 *
 * @param fd Its number in the other process. The type refuses the number of a descriptor of ours.
 */
export function pidfdGetfd(
  pidfd: Descriptor,
  fd: number & { readonly is?: "descriptor of another process" },
): Descriptor {
  return new Descriptor(
    checkCall("pidfd_getfd", () => getfdSymbols().pidfd_getfd(SYS_pidfd_getfd, pidfd.number, fd, 0)),
  );
}

/** pidfd_send_signal(2). @throws {SyscallError} `ESRCH` when the process has ended. */
export function sendSignal(pidfd: Descriptor, signal: number): void {
  check("pidfd_send_signal", signalSymbols().pidfd_send_signal(SYS_pidfd_send_signal, pidfd.number, signal, 0n, 0));
}
