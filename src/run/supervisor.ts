// The supervisor's loop: the kernel notifies it of each hooked call of the command's processes, it sets the socket's
// options, and lets the call proceed. seccomp_unotify(2).

import { withOpen } from "../../ffi/closing.ts";
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

/** What a supervisor does about a call, as functions. */
export interface SupervisorOptions {
  readonly syscallAbis: readonly SyscallAbi[];
  /** Returns whether a thread's calls are left alone. */
  readonly leavesAlone: (tid: number) => boolean;
  /** Sets the options of a TCP socket that is about to be used by `syscall`, and reports options that are refused. */
  readonly setOptions: (socket: Descriptor, syscall: HookedSyscall) => void;
  /** Reports a call that proceeded without the options: a line of text, and the error. */
  readonly report: (text: string, error: unknown) => void;
}

/** Answers notifications one by one. */
export class Supervisor {
  readonly #listener: Descriptor;
  readonly #notification: Notification;
  readonly #watcher: Pick<Watcher, "start">;
  readonly #options: SupervisorOptions;
  #socketMaker: SocketMaker | undefined;

  /**
   * @param notification In memory that outlives this process. A notification that is there at the start was received by
   * an earlier supervisor, which ended before it answered.
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
   * Runs until the last thread under the filter has ended. The watcher is started at the first call.
   *
   * @throws {CannotRevertError} When this process cannot revert to its own credentials. The call in hand proceeds.
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
   * Answers the notification. The call proceeds, whatever fails. Nothing is done between the answer and the next
   * receive: the program may make its next call at once, and until that is received a signal interrupts it.
   *
   * @returns Whether the watcher runs.
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

  /** Sets the options of the call's socket. Returns whether the call has been answered with a socket already. */
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
      // While the notification is valid its thread waits, so the pidfd is that thread's and no later one's.
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
    return withOpen(this.#socketMaker.socket(this.#notification.tid, domain, type, protocol), (socket) => {
      if (!isTcp(socket)) return false;
      this.#options.setOptions(socket, syscall);
      answerWithDescriptor(this.#listener, id, socket, (type & SOCK_CLOEXEC) !== 0);
      return true;
    });
  }

  #report(error: unknown): void {
    const { tid } = this.#notification;
    const why = isSyscallError(error) || error instanceof SocketMakerError ? error.message : String(error);
    // The id is 0 when the thread is in a pid namespace that does not descend from ours.
    const thread = tid === 0 ? "a thread that cannot be seen from here" : `thread ${tid}`;
    this.#options.report(`${thread}: ${why}`, error);
  }
}

/** Returns whether the thread has ended, or has closed its descriptor, so that nothing is to be done. */
function needsNothing(error: unknown): boolean {
  return isSyscallError(error, "ESRCH") || (isSyscallError(error, "EBADF") && error.syscall === "pidfd_getfd");
}
