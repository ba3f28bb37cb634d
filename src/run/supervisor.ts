// The supervisor's loop: the kernel notifies it of each hooked call of the command's processes, it sets the socket's
// options, and lets the call proceed. seccomp_unotify(2).

import { withOpen } from "../../ffi/closing.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { pidfdGetfd } from "../../ffi/pidfd.ts";
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
  syscallAbis,
} from "../../ffi/seccomp.ts";
import type { SocketPhase } from "../keepalive/socket_options.ts";
import { type KeepaliveValues, SYSTEM_VALUES } from "../keepalive/values.ts";
import { apply } from "../socket/keepalive_options.ts";
import type { Handover } from "./handover.ts";
import { type HeldStderr, report } from "./held_stderr.ts";
import { type Call, decodeCall, isTcp, openTask, release, userOf } from "./syscall.ts";
import type { HookedSyscall } from "./seccomp_filter.ts";
import { CannotRevertError, SocketMaker, SocketMakerError } from "./socket_maker.ts";
import { isGivenUp, type SupervisorConfig, warnsOnce } from "./supervisor_config.ts";
import { Watcher } from "./watcher.ts";

const PHASES: Record<HookedSyscall, SocketPhase> = { connect: "connect", listen: "listen", socket: "new" };

/** Answers notifications one by one. */
export class Supervisor {
  readonly #listener: Descriptor;
  readonly #notification: Notification;
  readonly #config: SupervisorConfig;
  readonly #values: KeepaliveValues;
  readonly #watcher: Watcher;
  readonly #syscallAbis = syscallAbis();
  #socketMaker: SocketMaker | undefined;

  constructor({ listener, notification }: Handover, config: SupervisorConfig, stderr: HeldStderr) {
    this.#listener = listener;
    this.#notification = notification;
    this.#config = config;
    this.#values = { ...SYSTEM_VALUES, ...config.values };
    this.#watcher = new Watcher(config, stderr);
  }

  /**
   * Runs until the last thread under the filter has ended. The watcher is started at the first call.
   *
   * @throws {CannotRevertError} When this process cannot revert to its own credentials. The call in hand proceeds.
   */
  run(): void {
    // The memory outlives this process: what is there was received by an earlier supervisor, which ended before it answered.
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
      const { stalls } = this.#config;
      if (stalls.length > 0 && isGivenUp(stalls, userOf(this.#notification.tid))) return false;
      const call = decodeCall(this.#notification, this.#syscallAbis);
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
    withOpen(openTask(this.#notification.tid), (pidfd) => {
      // While the notification is valid its thread waits, so the pidfd is that thread's and no later one's.
      if (!isNotificationValid(this.#listener, id)) return;
      // Closed before the thread proceeds.
      const socket = pidfdGetfd(pidfd, fd);
      try {
        if (isTcp(socket)) this.#apply(socket, syscall);
      } finally {
        release(socket);
      }
    });
  }

  #makeSocket(id: bigint, { syscall, args: [domain, type, protocol] }: Call): boolean {
    this.#socketMaker ??= new SocketMaker();
    return withOpen(this.#socketMaker.socket(this.#notification.tid, domain, type, protocol), (socket) => {
      if (!isTcp(socket)) return false;
      this.#apply(socket, syscall);
      answerWithDescriptor(this.#listener, id, socket, (type & SOCK_CLOEXEC) !== 0);
      return true;
    });
  }

  #apply(socket: Descriptor, syscall: HookedSyscall): void {
    for (const { option, value, error } of apply(socket, this.#values, PHASES[syscall])) {
      if (error !== null && this.#config.debug) report(`${syscall}: ${option} ${value}: ${error}`);
    }
  }

  /** Reports a call that proceeds without the options. */
  #report(error: unknown): void {
    const { tid } = this.#notification;
    const why = isSyscallError(error) || error instanceof SocketMakerError ? error.message : String(error);
    // The id is 0 when the thread is in a pid namespace that does not descend from ours.
    const thread = tid === 0 ? "a thread that cannot be seen from here" : `thread ${tid}`;
    const text = `${thread}: ${why}`;
    if (this.#config.debug) report(text);
    else if (warnsOnce(this.#config) && error instanceof SocketMakerError) this.#notification.setWarning(text);
  }
}

/** Returns whether the thread has ended, or has closed its descriptor, so that nothing is to be done. */
function needsNothing(error: unknown): boolean {
  return isSyscallError(error, "ESRCH") || (isSyscallError(error, "EBADF") && error.syscall === "pidfd_getfd");
}
