// setns(2) there and back: what has to be done inside another network namespace, done in one synchronous call.

import { host } from "../../../ffi/deno.ts";
import { isSyscallError } from "../../../ffi/errno.ts";
import { CLONE_NEWNET, setns } from "../../../ffi/process.ts";
import { open, statx } from "../../../ffi/fs.ts";
import type { Descriptor } from "../../../ffi/descriptor.ts";
import { Unsupported } from "../../model/errors.ts";

const OWN = "/proc/thread-self/ns/net";

/**
 * Inode number of the network namespace that this thread is in.
 *
 * @throws {Unsupported} Where there is no /proc.
 */
export function currentNetns(): number {
  try {
    return statx(null, OWN).ino;
  } catch (error) {
    if (!isSyscallError(error, "ENOENT")) throw error;
    throw new Unsupported("There is no /proc here, which says who holds a socket: mount -t proc proc /proc");
  }
}

/** The namespace that tcphup was started in. */
interface Home {
  readonly ino: number;
  readonly descriptor: Descriptor;
  /** Whether it can be entered again once it has been left. */
  readonly reenterable: boolean;
}

let home: Home | undefined;

function theHome(): Home {
  if (home === undefined) {
    const ino = currentNetns();
    const descriptor = open(null, OWN);
    home = { ino, descriptor, reenterable: canEnter(descriptor) };
  }
  return home;
}

function canEnter(namespace: Descriptor): boolean {
  try {
    setns(namespace, CLONE_NEWNET);
    return true;
  } catch (error) {
    if (isSyscallError(error, "EPERM")) return false;
    throw error;
  }
}

/** A network namespace, by where it can be opened. */
export interface NetnsFile {
  /** Its inode number in nsfs. */
  readonly ino: number;
  /** Files that were this namespace when they were looked at, the one that lasts longest first. */
  readonly paths: readonly string[];
}

/** Why a namespace could not be entered. */
export type NetnsFailure = "gone" | "forbidden" | "of another kind";

/** That a namespace could not be entered, when it was tried. */
export class NetnsError extends Error {
  override readonly name = "NotEntered";
  readonly reason: NetnsFailure;

  constructor({ paths }: NetnsFile, reason: NetnsFailure) {
    super(`Cannot enter the network namespace ${paths[0]}: it is ${reason}`);
    this.reason = reason;
  }
}

/**
 * Does `work` inside a network namespace. What it opens there stays there: a netlink socket, above all. The thread is
 * back in its own namespace when this returns or throws; where it cannot go back the process ends, since from then on
 * everything would be about other connections than those that were meant.
 *
 * @throws {NotEntered} When the namespace is no longer where it was found, when what was found is a namespace but not of
 * the network, or when this user may not enter it: that takes CAP_SYS_ADMIN in the user namespaces of this process, of
 * the namespace and of the one to go back to.
 */
export function inNetns<T>(file: NetnsFile, work: () => T): T {
  const { ino, descriptor, reenterable } = theHome();
  if (file.ino === ino) return work();
  if (!reenterable) throw new NetnsError(file, "forbidden");
  const namespace = openNetns(file);
  try {
    enter(namespace, file);
  } finally {
    namespace.close();
  }
  try {
    return work();
  } finally {
    goBack(descriptor);
  }
}

function openNetns(file: NetnsFile): Descriptor {
  let forbidden = false;
  for (const path of file.paths) {
    try {
      const namespace = open(null, path);
      // A process may have gone elsewhere, or its number may be another's by now.
      if (statx(namespace).ino === file.ino) return namespace;
      namespace.close();
    } catch (error) {
      if (isSyscallError(error, "EACCES", "EPERM")) forbidden = true;
      else if (!isSyscallError(error, "ENOENT", "ESRCH", "ENOTDIR")) throw error;
    }
  }
  throw new NetnsError(file, forbidden ? "forbidden" : "gone");
}

function enter(namespace: Descriptor, file: NetnsFile): void {
  try {
    setns(namespace, CLONE_NEWNET);
  } catch (error) {
    if (isSyscallError(error, "EPERM")) throw new NetnsError(file, "forbidden");
    if (isSyscallError(error, "EINVAL")) throw new NetnsError(file, "of another kind");
    throw error;
  }
}

/** How often it is tried to go back: nothing else can be done. */
const ATTEMPTS = 3;

function goBack(descriptor: Descriptor): void {
  for (let attempt = 1;; attempt++) {
    try {
      return setns(descriptor, CLONE_NEWNET);
    } catch (error) {
      if (attempt < ATTEMPTS) continue;
      host.write(2, `tcphup: cannot go back to its own network namespace: ${(error as Error).message}\n`);
      host.exit(1);
    }
  }
}
