// seccomp_unotify(2): filters with a listener, and the notifications that the listener receives. Numbers from
// <linux/seccomp.h> and <linux/audit.h>.

import { host } from "./deno.ts";
import { SYS_seccomp } from "./unistd.ts";
import { attempt, isSyscallError } from "./errno.ts";
import { Descriptor, O_CLOEXEC } from "./descriptor.ts";
import { check, lazily } from "./call.ts";
import { addressOf, allocate } from "./memory.ts";
import { poll } from "./poll.ts";

const seccompSymbols = lazily({
  seccomp: { name: "syscall", parameters: ["usize", "u32", "u32", "buffer"], result: "i32" },
});

const notificationSymbols = lazily({
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  ioctlValue: { name: "ioctl", parameters: ["i32", "usize", "usize"], result: "i32" },
});

/** An ABI of system calls: its AUDIT_ARCH_, and its numbers of the calls that a filter may hook. */
export interface SyscallAbi {
  readonly arch: number;
  /** Bits of the number that are masked out: they tell one of several ABIs with the same numbers. */
  readonly ignoredBits: number;
  readonly socket: number;
  readonly connect: number;
  readonly listen: number;
  /** socketcall(2) of i386, whose first argument tells the call. */
  readonly socketcall?: number;
}

/** __X32_SYSCALL_BIT: set in calls of the x32 ABI, which has the numbers of x86-64 for the calls used here. */
const X32_BIT = 0x40000000;

const SYSCALL_ABIS = {
  x86_64: [
    { arch: 0xc000003e, ignoredBits: X32_BIT, socket: 41, connect: 42, listen: 50 },
    { arch: 0x40000003, ignoredBits: 0, socket: 359, connect: 362, listen: 363, socketcall: 102 },
  ],
  aarch64: [
    { arch: 0xc00000b7, ignoredBits: 0, socket: 198, connect: 203, listen: 201 },
    { arch: 0x40000028, ignoredBits: 0, socket: 281, connect: 283, listen: 284 },
  ],
} as const satisfies Record<typeof host.arch, readonly SyscallAbi[]>;

/** Returns every ABI that a kernel of this machine offers, the native one first. */
export function syscallAbis(machine = host.arch): readonly SyscallAbi[] {
  return SYSCALL_ABIS[machine];
}

/** The first argument of socketcall(2), from <linux/net.h>. */
export const SYS_SOCKET = 1;
export const SYS_CONNECT = 3;
export const SYS_LISTEN = 4;

export const SECCOMP_RET_USER_NOTIF = 0x7fc00000;
export const SECCOMP_RET_ALLOW = 0x7fff0000;

const SECCOMP_SET_MODE_FILTER = 1;
/** Leaves speculation on, which kernels before 5.16 turn off for filtered programs: that makes them slower. */
const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1 << 2;
const SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3;
/** A thread whose notification has been received is interrupted by fatal signals only. Linux ≥ 5.19. */
const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 1 << 5;

/**
 * Installs a filter, an array of `struct sock_filter`, on the calling thread and on what it starts or executes.
 *
 * @returns The listener.
 * @throws {SyscallError} `EACCES` without CAP_SYS_ADMIN or no_new_privs, `EBUSY` when a filter with a listener is
 * already in place, `EINVAL` before Linux 5.0.
 */
export function installFilter(program: Uint8Array): Descriptor {
  // struct sock_fprog {u16 len; struct sock_filter *filter}
  const fprog = new DataView(allocate(16).buffer);
  fprog.setUint16(0, program.length / 8, true);
  fprog.setBigUint64(8, addressOf(program), true);
  const bytes = new Uint8Array(fprog.buffer);
  const flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  const install = (flags: number) =>
    new Descriptor(check("seccomp", seccompSymbols().seccomp(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, bytes)));
  try {
    return install(flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  } catch (error) {
    if (!isSyscallError(error, "EINVAL")) throw error;
    return install(flags);
  }
}

const SECCOMP_GET_ACTION_AVAIL = 2;

/**
 * Makes a seccomp(2) call that changes nothing. A filter of the host's that kills for such a call kills this process
 * now.
 */
export function probeSeccomp(): void {
  seccompSymbols().seccomp(
    SYS_seccomp,
    SECCOMP_GET_ACTION_AVAIL,
    0,
    new Uint8Array(Uint32Array.of(SECCOMP_RET_USER_NOTIF).buffer),
  );
}

/** `struct seccomp_notif`: {u64 id; u32 pid, flags; s32 nr; u32 arch; u64 ip, args[6]}. */
const STRUCT_SIZE = 80;
/** The notification, a count of answers, and the length and the text of a warning. */
export const NOTIFICATION_SIZE = 256;
const REMARK = STRUCT_SIZE + 8;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The notification that was received last, in memory that supervisors and their watchers share. */
export class Notification {
  /** The `struct seccomp_notif` that the kernel writes. */
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  readonly #warning: Uint8Array;

  /** @param bytes Shared memory of NOTIFICATION_SIZE bytes. Each getter reads it anew. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes.subarray(0, STRUCT_SIZE);
    this.#warning = bytes.subarray(REMARK);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Removes the notification. */
  clear(): void {
    this.bytes.fill(0);
  }

  /** The number of notifications that were answered, modulo 2³². */
  get answered(): number {
    return this.#view.getUint32(STRUCT_SIZE, true);
  }

  /** Counts a notification as answered. */
  countAnswer(): void {
    this.#view.setUint32(STRUCT_SIZE, this.answered + 1, true);
  }

  /** The kernel's id of the notification; 0 when there is none. */
  get id(): bigint {
    return this.#view.getBigUint64(0, true);
  }

  /** The warning that the watcher is to print, empty when there is none. */
  get warning(): string {
    return decoder.decode(this.#warning.subarray(0, this.#view.getUint32(REMARK - 4, true)));
  }

  /** Sets the warning, truncated to what fits, unless there is one already. */
  setWarning(text: string): void {
    if (this.warning !== "") return;
    const { written } = encoder.encodeInto(text, this.#warning);
    this.#view.setUint32(REMARK - 4, written, true);
  }

  /** The thread that made the call; 0 when it is outside our pid namespace. */
  get tid(): number {
    return this.#view.getUint32(8, true);
  }

  get nr(): number {
    return this.#view.getInt32(16, true);
  }

  get arch(): number {
    return this.#view.getUint32(20, true);
  }

  /** Returns one of the six arguments as an int, which is its lower half. */
  argument(index: number): number {
    return this.#view.getInt32(32 + index * 8, true);
  }

  /** Returns one of the six arguments as an address. */
  address(index: number): bigint {
    return this.#view.getBigUint64(32 + index * 8, true);
  }
}

const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100n;
const SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101n;
/** The number that every kernel takes; <linux/seccomp.h> had the direction wrong until 5.17. */
const SECCOMP_IOCTL_NOTIF_ID_VALID = 0x80082102n;
const SECCOMP_IOCTL_NOTIF_ADDFD = 0x40182103n;
const SECCOMP_IOCTL_NOTIF_SET_FLAGS = 0x40082104n;

/** The event of poll(2) for a listener whose last filtered thread has ended. Linux ≥ 5.9. */
export const POLLHUP = 0x10;

/** Returns whether the last thread under the filter has ended, so that no notification will come. */
export function hasHungUp(listener: Descriptor): boolean {
  return (poll(listener.number, 0, 0) & POLLHUP) !== 0;
}

/**
 * Waits for a notification and receives it into `notification`. Until a notification is received a signal interrupts its
 * call: to wait in poll(2) first would make that time longer.
 *
 * @returns `false` when there is none: its thread has ended meanwhile, or, since Linux 6.11, the last filtered thread.
 */
export function receiveNotification(listener: Descriptor, notification: Notification): boolean {
  // The kernel rejects a structure that is not zero.
  notification.clear();
  const { ioctl } = notificationSymbols();
  const receive = () => check("ioctl", ioctl(listener.number, SECCOMP_IOCTL_NOTIF_RECV, notification.bytes));
  return attempt(receive, "ENOENT", "EINTR");
}

/** SECCOMP_USER_NOTIF_FLAG_CONTINUE: the kernel makes the call as if nothing had been in the way. */
const FLAG_CONTINUE = 1;
const id64 = new BigUint64Array(1);
/** `struct seccomp_notif_resp`: {u64 id; s64 val; s32 error; u32 flags}. */
const response = new BigUint64Array(3);

/**
 * Answers a notification.
 *
 * @param value The call's result, unless `flags` let the kernel make the call.
 * @throws {SyscallError} `ENOENT` when it was answered before, or its thread has ended.
 */
function respond(listener: Descriptor, id: bigint, value: number, flags: number): void {
  response[0] = id;
  response[1] = BigInt(value);
  response[2] = BigInt(flags) << 32n;
  check("ioctl", notificationSymbols().ioctl(listener.number, SECCOMP_IOCTL_NOTIF_SEND, response));
}

/** Has the kernel make the call. Does nothing when it was answered before, or its thread has ended. */
export function continueSyscall(listener: Descriptor, id: bigint): void {
  attempt(() => respond(listener, id, 0, FLAG_CONTINUE), "ENOENT");
}

/** Returns whether the call still waits. As long as it does, the thread's id is not another thread's. */
export function isNotificationValid(listener: Descriptor, id: bigint): boolean {
  id64[0] = id;
  return notificationSymbols().ioctl(listener.number, SECCOMP_IOCTL_NOTIF_ID_VALID, id64) === 0;
}

const SECCOMP_ADDFD_FLAG_SEND = 2;
/** `struct seccomp_notif_addfd`: {u64 id; u32 flags, srcfd, newfd, newfd_flags}. */
const addfd = new Int32Array(6);

/** Adds a descriptor to the table of the calling thread. Returns its number there. */
function addDescriptor(listener: Descriptor, id: bigint, flags: number, source: number, newFlags: number): number {
  addfd[0] = Number(BigInt.asIntN(32, id));
  addfd[1] = Number(BigInt.asIntN(32, id >> 32n));
  addfd[2] = flags;
  addfd[3] = source;
  addfd[4] = 0;
  addfd[5] = newFlags;
  return check("ioctl", notificationSymbols().ioctl(listener.number, SECCOMP_IOCTL_NOTIF_ADDFD, addfd));
}

/**
 * Gives the calling process a duplicate of `source`, whose number the call returns. Before Linux 5.14 this takes two
 * steps: a call that a signal interrupts between them is made again, and leaves a descriptor that the program does not
 * know of.
 *
 * @throws {SyscallError} `ENOENT` when the thread has ended, `EMFILE` when its process has no descriptor left.
 */
export function answerWithDescriptor(listener: Descriptor, id: bigint, source: Descriptor, closeOnExec: boolean): void {
  const newFlags = closeOnExec ? O_CLOEXEC : 0;
  const add = (flags: number) => addDescriptor(listener, id, flags, source.number, newFlags);
  if (!attempt(() => add(SECCOMP_ADDFD_FLAG_SEND), "EINVAL")) respond(listener, id, add(0), 0);
}

/** The id of no notification: ids count up from a random number. */
const NO_ID = 0n;

/** Returns whether the kernel reports the end of the last filtered thread (5.9), which came together with ADDFD. */
export function supportsHangUp(listener: Descriptor): boolean {
  try {
    addDescriptor(listener, NO_ID, 0, listener.number, 0);
    return true;
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    return error.code === "ENOENT";
  }
}

const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP = 1n;

/**
 * Tells the kernel that the calling thread and the supervisor take turns, so that it wakes one on the processor of the
 * other. A notification then takes 55 µs instead of 145 µs (measured on Linux 6.18). Before Linux 6.6 nothing happens.
 */
export function setSyncWakeUp(listener: Descriptor): void {
  notificationSymbols().ioctlValue(listener.number, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}
