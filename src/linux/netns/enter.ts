// Enters another network namespace with setns(2) for one synchronous call, and goes back.

import type { NetnsInode } from "../../model/ids.ts";
import { host } from "../../../ffi/deno.ts";
import { attempt, isSyscallError } from "../../../ffi/errno.ts";
import { CLONE_NEWNET, setns } from "../../../ffi/process.ts";
import { open, statx } from "../../../ffi/fs.ts";
import type { Descriptor } from "../../../ffi/descriptor.ts";
import { UnsupportedError } from "../../model/errors.ts";

/** The network namespace of the calling thread. */
export const OWN_NETNS = "/proc/thread-self/ns/net";

/**
 * Returns the inode number of the thread's network namespace.
 *
 * @throws {UnsupportedError} Where there is no /proc.
 */
export function currentNetns(): NetnsInode {
  try {
    return statx(null, OWN_NETNS).ino;
  } catch (error) {
    if (!isSyscallError(error, "ENOENT")) throw error;
    throw new UnsupportedError("There is no /proc here, which says who holds a socket: mount -t proc proc /proc", {
      cause: error,
    });
  }
}

/** The namespace that tcphup was started in. */
interface Home {
  readonly ino: NetnsInode;
  readonly descriptor: Descriptor;
  /** Whether setns(2) may enter it again. */
  readonly reenterable: boolean;
}

let home: Home | undefined;

function theHome(): Home {
  if (home === undefined) {
    const ino = currentNetns();
    const descriptor = open(OWN_NETNS);
    home = { ino, descriptor, reenterable: attempt(() => setns(descriptor, CLONE_NEWNET), "EPERM") };
  }
  return home;
}

/** A network namespace, and the files that open it. */
export interface NetnsFile {
  /** Its inode number in nsfs. */
  readonly ino: NetnsInode;
  /** Files that referred to this namespace when it was found, the most lasting one first. */
  readonly paths: readonly [string, ...string[]];
}

/** The reason why a namespace cannot be entered. */
export type NetnsFailure = "gone" | "forbidden" | "of another kind";

/** The error for a namespace that cannot be entered. */
export class NetnsError extends Error {
  override readonly name = "NetnsError";
  readonly reason: NetnsFailure;

  constructor({ paths }: NetnsFile, reason: NetnsFailure) {
    super(`Cannot enter the network namespace ${paths[0]}: it is ${reason}`);
    this.reason = reason;
  }
}

/**
 * Calls `work` inside a network namespace. Sockets that `work` opens stay in that namespace. The thread is back in its own
 * namespace when this function returns or throws. If it cannot go back the process exits, since everything after that would
 * act on the connections of the wrong namespace.
 *
 * @throws {NetnsError} When no file refers to the namespace any more, when it is a namespace of another kind, or when this
 * user may not enter it: that takes CAP_SYS_ADMIN in the user namespaces of this process, of the namespace and of the one
 * to go back to.
 */
export function inNetns<T>(file: NetnsFile, work: () => T): T {
  const { ino, descriptor, reenterable } = theHome();
  if (file.ino === ino) return work();
  if (!reenterable) throw new NetnsError(file, "forbidden");
  return thereAndBack(openNetns(file), descriptor, work, {
    cannotEnter(error) {
      if (isSyscallError(error, "EPERM")) throw new NetnsError(file, "forbidden");
      if (isSyscallError(error, "EINVAL")) throw new NetnsError(file, "of another kind");
      throw error;
    },
    cannotGoBack(error) {
      host.write(2, `tcphup: cannot go back to its own network namespace: ${(error as Error).message}\n`);
      return host.exit(1);
    },
  });
}

function openNetns(file: NetnsFile): Descriptor {
  let forbidden = false;
  for (const path of file.paths) {
    try {
      const namespace = open(path);
      // The process may have changed its namespace, or its number may belong to another process by now.
      if (statx(namespace).ino === file.ino) return namespace;
      namespace.close();
    } catch (error) {
      if (isSyscallError(error, "EACCES", "EPERM")) forbidden = true;
      else if (!isSyscallError(error, "ENOENT", "ESRCH", "ENOTDIR")) throw error;
    }
  }
  throw new NetnsError(file, forbidden ? "forbidden" : "gone");
}

/** What to do when the thread cannot change its network namespace. */
export interface NetnsTrouble {
  /** Throws when the namespace cannot be entered. */
  cannotEnter(error: unknown): never;
  /** Throws, or ends the process, when the thread cannot go back. */
  cannotGoBack(error: unknown): never;
}

/** The attempts to go back before that is given up. */
const ATTEMPTS = 3;

/** Calls `work` in a network namespace, goes back to `home`, and closes the namespace's descriptor. */
export function thereAndBack<T>(
  namespace: Descriptor,
  home: Descriptor,
  work: () => T,
  { cannotEnter, cannotGoBack }: NetnsTrouble,
): T {
  try {
    setns(namespace, CLONE_NEWNET);
  } catch (error) {
    cannotEnter(error);
  } finally {
    namespace.close();
  }
  try {
    return work();
  } finally {
    goBack(home, cannotGoBack);
  }
}

function goBack(home: Descriptor, cannotGoBack: NetnsTrouble["cannotGoBack"]): void {
  for (let attempt = 1;; attempt++) {
    try {
      return setns(home, CLONE_NEWNET);
    } catch (error) {
      if (attempt >= ATTEMPTS) cannotGoBack(error);
    }
  }
}
