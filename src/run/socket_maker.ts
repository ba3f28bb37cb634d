// Sockets that the supervisor makes for a program, with their options set before the program sees them (--on socket).
//
// A socket keeps properties of the task that makes it: the network namespace, the user, the control group and the
// security label. The supervisor takes on the user and the network namespace of the calling thread. It makes no socket
// for a thread with another control group or security label.

import { readTextFile } from "../../ffi/files.ts";
import { isSyscallError, withFallback } from "../../ffi/errno.ts";
import { setFsCredentials } from "../../ffi/process.ts";
import { open, statx } from "../../ffi/fs.ts";
import { socket } from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { thereAndBack } from "../linux/netns/enter.ts";

/** The properties that a new socket takes from the task that makes it. */
export interface SocketCredentials {
  /** The inode of the network namespace. */
  readonly netns: number;
  readonly uid: number;
  readonly gid: number;
  /** /proc/TASK/cgroup, all hierarchies. */
  readonly cgroup: string;
  /** /proc/TASK/attr/current; empty without a security module that labels. */
  readonly label: string;
}

/**
 * Reads the credentials of a task from /proc.
 *
 * @param task A thread id, or `self`.
 * @param hasLabel False to skip the label, which takes as long to read as all the rest.
 */
export function readSocketCredentials(task: number | "self", hasLabel = true): SocketCredentials {
  const status = readTextFile(`/proc/${task}/status`);
  return {
    netns: statx(null, `/proc/${task}/ns/net`).ino,
    uid: userIn(status),
    gid: Number(/^Gid:.*\t(\d+)$/m.exec(status)?.[1]),
    cgroup: readTextFile(`/proc/${task}/cgroup`),
    label: hasLabel ? readLabel(task) : "",
  };
}

/** Returns the file system user id, the last of four, of a /proc/TASK/status. It owns the task's new sockets. */
export function userIn(status: string): number {
  return Number(/^Uid:.*\t(\d+)$/m.exec(status)?.[1]);
}

function readLabel(task: number | "self"): string {
  return withFallback("", () => readTextFile(`/proc/${task}/attr/current`), "ENOENT", "EINVAL");
}

/** Explains why a task with the credentials `self` cannot make a socket as `caller`; null when it can. */
export function whyCannotImpersonate(self: SocketCredentials, caller: SocketCredentials): string | null {
  if (caller.cgroup !== self.cgroup) return "is in another control group than the supervisor";
  if (caller.label !== self.label) return "has another security label than the supervisor";
  return null;
}

/** Makes sockets in the place of other processes. */
export class SocketMaker {
  readonly #self = readSocketCredentials("self");
  readonly #netns = open("/proc/self/ns/net");

  /**
   * socket(2) with the credentials of the thread `tid`, and with SOCK_CLOEXEC.
   *
   * @throws {SocketMakerError} When this process cannot take on the thread's credentials.
   * @throws {CannotRevertError} When this process has taken them on, and cannot revert to its own.
   * @throws {SyscallError} When socket(2) fails, as it would for the thread.
   */
  socket(tid: number, domain: number, type: number, protocol: number): Descriptor {
    // When this process has no label, no security module labels tasks.
    const caller = lookAt(tid, this.#self.label !== "");
    const difference = whyCannotImpersonate(this.#self, caller);
    if (difference !== null) throw new SocketMakerError(difference);
    const make = () => socket(domain, type, protocol);
    return this.#inNamespace(tid, caller, () => this.#asUser(caller, make));
  }

  #asUser({ uid, gid }: SocketCredentials, make: () => Descriptor): Descriptor {
    const self = this.#self;
    if (uid === self.uid && gid === self.gid) return make();
    try {
      if (!setFsCredentials(uid, gid)) {
        throw new SocketMakerError(`runs as user ${uid}, which needs CAP_SETUID and CAP_SETGID`);
      }
      return make();
    } finally {
      becomeAgain(self);
    }
  }

  #inNamespace(tid: number, caller: SocketCredentials, make: () => Descriptor): Descriptor {
    if (caller.netns === this.#self.netns) return make();
    return thereAndBack(open(`/proc/${tid}/ns/net`), this.#netns, make, {
      cannotEnter(error) {
        if (!isSyscallError(error, "EPERM")) throw error;
        throw new SocketMakerError("is in another network namespace: needs CAP_SYS_ADMIN");
      },
      cannotGoBack(error) {
        throw new CannotRevertError(`cannot go back to its own network namespace: ${(error as Error).message}`);
      },
    });
  }
}

function lookAt(tid: number, hasLabel: boolean): SocketCredentials {
  try {
    return readSocketCredentials(tid, hasLabel);
  } catch (error) {
    if (isSyscallError(error, "EACCES", "EPERM")) {
      throw new SocketMakerError("may not be looked into: needs CAP_SYS_PTRACE");
    }
    throw error;
  }
}

function becomeAgain({ uid, gid }: SocketCredentials): void {
  if (!setFsCredentials(uid, gid)) throw new CannotRevertError(`cannot be user ${uid} again`);
}

/** Thrown when this process cannot revert to its own credentials, and so must make no further socket. */
export class CannotRevertError extends Error {
  override readonly name = "CannotRevertError";
}

/** Thrown when a socket cannot be made in the place of a program. */
export class SocketMakerError extends Error {
  override readonly name = "SocketMakerError";
}
