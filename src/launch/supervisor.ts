// The process beside the command: it is asked about each connect, listen or socket call of the command's processes, sets
// the options, and lets the call proceed. seccomp_unotify(2).

import { type Descriptor, isSyscallError, SOCK_CLOEXEC } from "../../ffi/libc.ts";
import {
  answerWithDescriptor,
  type CallNumbers,
  isWaiting,
  letProceed,
  type Notification,
  receiveNotification,
  waitForNotification,
} from "../../ffi/seccomp.ts";
import { type Call, decodeCall, duplicate, isTcp, openTask } from "./caller.ts";
import type { Moment } from "./filter.ts";
import { StandIn, StandInError } from "./stand_in.ts";

/** What a supervisor does about a socket, and whom it tells. */
export interface SupervisorOptions {
  readonly callers: readonly CallNumbers[];
  /** Sets the options of a TCP socket that is about to be used so. A refusal is the callee's to report. */
  readonly setOptions: (socket: Descriptor, moment: Moment) => void;
  /** Told of each call that went on without its options, and why. */
  readonly report: (text: string) => void;
}

/** Answers notifications, one after the other. */
export class Supervisor {
  readonly #listener: Descriptor;
  readonly #notification: Notification;
  readonly #options: SupervisorOptions;
  #standIn: StandIn | undefined;

  /**
   * @param notification In memory that outlives this process: what is in there at the start was received by a supervisor
   * that did not live to answer it.
   */
  constructor(listener: Descriptor, notification: Notification, options: SupervisorOptions) {
    this.#listener = listener;
    this.#notification = notification;
    this.#options = options;
  }

  /** Returns when the last thread under the filter has gone. */
  run(): void {
    if (this.#notification.id !== 0n) this.#answer();
    while (waitForNotification(this.#listener)) {
      if (receiveNotification(this.#listener, this.#notification)) this.#answer();
    }
  }

  /** Whatever happens here, the call proceeds. */
  #answer(): void {
    const { id } = this.#notification;
    if (!this.#setOptions(id)) letProceed(this.#listener, id);
    this.#notification.clear();
  }

  /** Returns whether the call has been answered already. */
  #setOptions(id: bigint): boolean {
    try {
      const call = decodeCall(this.#notification, this.#options.callers);
      if (call === null) return false;
      if (call.moment === "socket") return this.#makeSocket(id, call);
      this.#setOptionsOf(id, call);
      return false;
    } catch (error) {
      // A thread that has gone, or has closed its descriptor, needs nothing.
      if (isSyscallError(error, "ESRCH", "EBADF") || !isWaiting(this.#listener, id)) return false;
      this.#report(error);
      return false;
    }
  }

  #setOptionsOf(id: bigint, { moment, args: [fd] }: Call): void {
    const pidfd = openTask(this.#notification.tid);
    try {
      // As long as the call is waited in, the number that was opened cannot be another thread's.
      if (!isWaiting(this.#listener, id)) return;
      const socket = duplicate(pidfd, fd);
      try {
        if (isTcp(socket)) this.#options.setOptions(socket, moment);
      } finally {
        socket.close();
      }
    } finally {
      pidfd.close();
    }
  }

  #makeSocket(id: bigint, { moment, args: [domain, type, protocol] }: Call): boolean {
    this.#standIn ??= new StandIn();
    const socket = this.#standIn.socket(this.#notification.tid, domain, type, protocol);
    try {
      if (!isTcp(socket)) return false;
      this.#options.setOptions(socket, moment);
      answerWithDescriptor(this.#listener, id, socket, (type & SOCK_CLOEXEC) !== 0);
      return true;
    } finally {
      socket.close();
    }
  }

  #report(error: unknown): void {
    const { tid } = this.#notification;
    const why = isSyscallError(error) || error instanceof StandInError ? error.message : String(error);
    // 0: the thread is in a pid namespace that does not descend from ours.
    this.#options.report(tid === 0 ? `a thread that cannot be seen from here: ${why}` : `thread ${tid}: ${why}`);
  }
}
