// The process beside the command: it is asked about each connect, listen or socket call of the command's processes, sets
// the options, and lets the call proceed. seccomp_unotify(2).

import { isSyscallError } from "../../ffi/errno.ts";
import { SOCK_CLOEXEC } from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { poll, POLLIN } from "../../ffi/poll.ts";
import {
  answerWithDescriptor,
  continueSyscall,
  hasHungUp,
  isNotificationValid,
  type Notification,
  receiveNotification,
  type SyscallAbi,
} from "../../ffi/seccomp.ts";
import { type Call, decodeCall, duplicate, isTcp, openTask, release } from "./syscall.ts";
import type { HookedSyscall } from "./seccomp_filter.ts";
import { CannotRevertError, SocketMaker, SocketMakerError } from "./socket_maker.ts";
import type { Watcher } from "./watcher.ts";

/** What a supervisor does about a socket, and whom it tells. */
export interface SupervisorOptions {
  readonly syscallAbis: readonly SyscallAbi[];
  /** Whether a thread's calls are to proceed as they are. */
  readonly leavesAlone: (tid: number) => boolean;
  /** Sets the options of a TCP socket that is about to be used so. A refusal is the callee's to report. */
  readonly setOptions: (socket: Descriptor, syscall: HookedSyscall) => void;
  /** Told of each call that went on without its options, and why: in words, and by the error. */
  readonly report: (text: string, error: unknown) => void;
}

/** Answers notifications, one after the other. */
export class Supervisor {
  readonly #listener: Descriptor;
  readonly #notification: Notification;
  readonly #watcher: Pick<Watcher, "start">;
  readonly #options: SupervisorOptions;
  #socketMaker: SocketMaker | undefined;

  /**
   * @param notification In memory that outlives this process: what is in there at the start was received by a supervisor
   * that did not live to answer it.
   */
  constructor(
    listener: Descriptor,
    notification: Notification,
    watcher: Pick<Watcher, "start">,
    options: SupervisorOptions,
  ) {
    this.#listener = listener;
    this.#notification = notification;
    this.#watcher = watcher;
    this.#options = options;
  }

  /**
   * Returns when the last thread under the filter has gone. A command that makes none of the calls has no watcher.
   *
   * @throws {CannotRevertError} When this process is no longer what it was. The call that it had in hand proceeds.
   */
  run(): void {
    const { id } = this.#notification;
    let isWatched = id !== 0n && isNotificationValid(this.#listener, id) && this.#answer();
    for (;;) {
      if (!isWatched) {
        if ((poll(this.#listener.number, POLLIN, -1) & POLLIN) === 0) return;
        isWatched = this.#watcher.start();
      }
      if (receiveNotification(this.#listener, this.#notification)) isWatched = this.#answer();
      else if (hasHungUp(this.#listener)) return;
    }
  }

  /**
   * Whatever happens here, the call proceeds. Between that and the wait for the next call is nothing to do: the program may
   * be there already, and until its call is received a signal interrupts it.
   *
   * @returns Whether there is a watcher.
   */
  #answer(): boolean {
    const isWatched = this.#watcher.start();
    const { id } = this.#notification;
    let isAnswered = false;
    try {
      isAnswered = this.#setOptions(id);
    } finally {
      this.#notification.countAnswer();
      if (!isAnswered) continueSyscall(this.#listener, id);
    }
    return isWatched;
  }

  /** Returns whether the call has been answered already. */
  #setOptions(id: bigint): boolean {
    try {
      if (this.#options.leavesAlone(this.#notification.tid)) return false;
      const call = decodeCall(this.#notification, this.#options.syscallAbis);
      if (call === null) return false;
      if (call.syscall === "socket") return this.#makeSocket(id, call);
      this.#setOptionsOf(id, call);
      return false;
    } catch (error) {
      if (error instanceof CannotRevertError) throw error;
      if (needsNothing(error) || !isNotificationValid(this.#listener, id)) return false;
      this.#report(error);
      return false;
    }
  }

  #setOptionsOf(id: bigint, { syscall, args: [fd] }: Call): void {
    const pidfd = openTask(this.#notification.tid);
    try {
      // As long as the call is waited in, the number that was opened cannot be another thread's.
      if (!isNotificationValid(this.#listener, id)) return;
      const socket = duplicate(pidfd, fd);
      try {
        if (isTcp(socket)) this.#options.setOptions(socket, syscall);
      } finally {
        release(socket);
      }
    } finally {
      pidfd.close();
    }
  }

  #makeSocket(id: bigint, { syscall, args: [domain, type, protocol] }: Call): boolean {
    this.#socketMaker ??= new SocketMaker();
    const socket = this.#socketMaker.socket(this.#notification.tid, domain, type, protocol);
    try {
      if (!isTcp(socket)) return false;
      this.#options.setOptions(socket, syscall);
      answerWithDescriptor(this.#listener, id, socket, (type & SOCK_CLOEXEC) !== 0);
      return true;
    } finally {
      socket.close();
    }
  }

  #report(error: unknown): void {
    const { tid } = this.#notification;
    const why = isSyscallError(error) || error instanceof SocketMakerError ? error.message : String(error);
    // 0: the thread is in a pid namespace that does not descend from ours.
    const thread = tid === 0 ? "a thread that cannot be seen from here" : `thread ${tid}`;
    this.#options.report(`${thread}: ${why}`, error);
  }
}

/** A thread that has gone, or has closed its descriptor, needs nothing. */
function needsNothing(error: unknown): boolean {
  return isSyscallError(error, "ESRCH") || (isSyscallError(error, "EBADF") && error.syscall === "pidfd_getfd");
}
