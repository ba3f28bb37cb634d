// The call that a notification is about: its arguments, and the descriptors of its thread.

import { withOpen } from "../../ffi/closing.ts";
import { readTextFile } from "../../ffi/files.ts";
import { open, readAt } from "../../ffi/fs.ts";
import { attempt, isSyscallError, withFallback } from "../../ffi/errno.ts";
import { pidfdOpen } from "../../ffi/pidfd.ts";
import {
  AF_INET,
  AF_INET6,
  getpeername,
  getsockopt,
  getsockoptBytes,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  setsockoptBytes,
  SO_DOMAIN,
  SO_LINGER,
  SO_PROTOCOL,
  SOL_SOCKET,
} from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { type Notification, SYS_CONNECT, SYS_LISTEN, SYS_SOCKET, type SyscallAbi } from "../../ffi/seccomp.ts";
import { HOOKED_SYSCALLS, type HookedSyscall } from "./seccomp_filter.ts";
import { userIn } from "./socket_maker.ts";

/** A hooked call that waits for its answer. */
export interface Call {
  readonly syscall: HookedSyscall;
  /** The first three arguments, as ints. Those that the call does not take are meaningless. */
  readonly args: readonly [number, number, number];
}

const SOCKETCALLS: Record<number, HookedSyscall> = {
  [SYS_SOCKET]: "socket",
  [SYS_CONNECT]: "connect",
  [SYS_LISTEN]: "listen",
};

/**
 * Decodes the call of a notification. Null for a call that is not hooked.
 *
 * @throws {SyscallError} When the memory that holds socketcall(2)'s arguments cannot be read.
 */
export function decodeCall(notification: Notification, syscallAbis: readonly SyscallAbi[]): Call | null {
  const abi = syscallAbis.find(({ arch }) => arch === notification.arch);
  if (abi === undefined) return null;
  const nr = notification.nr & ~abi.ignoredBits;
  if (nr === abi.socketcall) {
    const syscall = SOCKETCALLS[notification.argument(0)];
    return syscall === undefined ? null : { syscall, args: readArguments(notification.tid, notification.address(1)) };
  }
  const syscall = HOOKED_SYSCALLS.find((name) => abi[name] === nr);
  if (syscall === undefined) return null;
  return { syscall, args: [notification.argument(0), notification.argument(1), notification.argument(2)] };
}

/** Reads three longs of 32 bits from a thread's memory. */
function readArguments(tid: number, address: bigint): [number, number, number] {
  const longs = new Int32Array(3);
  withOpen(open(`/proc/${tid}/mem`), (memory) => readAt(memory, new Uint8Array(longs.buffer), address));
  return [longs[0]!, longs[1]!, longs[2]!];
}

/** Returns the file system user id of a thread, which owns its new sockets. */
export function userOf(tid: number): number {
  return userIn(readTextFile(`/proc/${tid}/status`));
}

/** Opens a pidfd that gives access to a thread's descriptors. */
export function openTask(tid: number): Descriptor {
  // For a thread that is not its process's leader: EINVAL, and since Linux 6.9 ENOENT.
  return withFallback(null, () => pidfdOpen(tid), "EINVAL", "ENOENT") ??
    withFallback(null, () => pidfdOpen(tid, true), "EINVAL") ?? pidfdOpen(leaderOf(tid));
}

function leaderOf(tid: number): number {
  return Number(/^Tgid:\s*(\d+)$/m.exec(readTextFile(`/proc/${tid}/status`))?.[1]);
}

/**
 * Closes a duplicate. When the program has closed its own descriptor meanwhile, this is the last one, and with SO_LINGER
 * close(2) would wait for the peer: SO_LINGER of a connected socket is turned off first.
 */
export function release(duplicate: Descriptor): void {
  try {
    const linger = new Int32Array(2);
    getsockoptBytes(duplicate, SOL_SOCKET, SO_LINGER, new Uint8Array(linger.buffer));
    const [isOn, seconds] = linger;
    if (isOn !== 0 && seconds !== 0 && attempt(() => getpeername(duplicate), "ENOTCONN")) {
      setsockoptBytes(duplicate, SOL_SOCKET, SO_LINGER, new Uint8Array(8));
    }
  } catch (error) {
    if (!isSyscallError(error)) throw error;
  } finally {
    duplicate.close();
  }
}

/** Returns whether a descriptor is a TCP or MPTCP socket. */
export function isTcp(descriptor: Descriptor): boolean {
  const domain = withFallback(null, () => getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN), "ENOTSOCK");
  if (domain !== AF_INET && domain !== AF_INET6) return false;
  const protocol = getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL);
  return protocol === IPPROTO_TCP || protocol === IPPROTO_MPTCP;
}
