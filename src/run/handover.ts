// The handover of the seccomp listener from the command's process to the supervisor, by a message in a pair of unix
// sockets. The message is only peeked at, so that a supervisor that is started anew finds it too.

import { createMemfd, mapShared } from "../../ffi/memfd.ts";
import { withOpen } from "../../ffi/closing.ts";
import { attempt, isSyscallError, withFallback } from "../../ffi/errno.ts";
import { pidfdGetfd } from "../../ffi/pidfd.ts";
import { SIGSYS, SIGXFSZ } from "../../ffi/signal.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import type { ForeignFd } from "../model/ids.ts";
import { Notification, NOTIFICATION_SIZE } from "../../ffi/seccomp.ts";
import { MSG_PEEK, receive, send, setReceiveTimeout } from "../../ffi/unix.ts";
import { UnsupportedError } from "../model/errors.ts";
import { ENDED } from "./respawn.ts";

/** The time that a supervisor may take to start. */
const PATIENCE_S = 30;

/** The supervisor's answers: it has started, and it can supervise the command. Any other answer says why it cannot. */
export const STARTED = "started";
const READY = "ready";
const NOT_STARTED = "the supervisor did not start: --debug shows what it says";

/**
 * Waits until the supervisor has started, and has made the calls for which a filter of the host's might kill it.
 *
 * @param socket This process's end of the pair.
 * @throws {UnsupportedError} When it does not start.
 */
export function awaitStart(socket: Descriptor): void {
  setReceiveTimeout(socket, PATIENCE_S);
  const answer = receiveAnswer(socket);
  if (answer !== STARTED) throw new UnsupportedError(explain(answer, "seccomp"));
}

/**
 * Sends the supervisor the listener, and shared memory for the notification that it works on. The text of the message is
 * the number of `socket`, which the supervisor tries to duplicate.
 *
 * @param socket This process's end of the pair.
 * @throws {UnsupportedError} When the supervisor answers that it cannot work here, or does not answer.
 */
export function handOver(socket: Descriptor, listener: Descriptor): void {
  withOpen(memoryFor(NOTIFICATION_SIZE), (memory) => {
    // With EPIPE the supervisor has ended; its answer, read below, says why.
    attempt(() => send({ text: String(socket.number), descriptors: [listener, memory] }, socket), "EPIPE");
  });
  let answer = receiveAnswer(socket);
  // A supervisor that has been started anew meanwhile says so first.
  while (answer === STARTED) answer = receiveAnswer(socket);
  if (answer !== READY) throw new UnsupportedError(explain(answer, "pidfd_getfd"));
}

const FILES_TOO_SHORT = "RLIMIT_FSIZE (LimitFSIZE= of a unit) is too low for the supervisor";

function memoryFor(size: number): Descriptor {
  try {
    return createMemfd("tcphup notification", size);
  } catch (error) {
    if (!isSyscallError(error, "EFBIG")) throw error;
    throw new UnsupportedError(`${FILES_TOO_SHORT}: it takes ${size} bytes`, { cause: error });
  }
}

/** Returns the supervisor's answer; null when the other end is closed without one. */
function receiveAnswer(socket: Descriptor): string | null {
  const tooLate = `the supervisor did not start within ${PATIENCE_S} s`;
  return withFallback(tooLate, () => receive(socket)?.text ?? null, "EAGAIN");
}

const SIGNALLED = 128;

/**
 * Explains why there is no supervisor, by the answer of its shell or its own. `call` is the call that it was about to
 * make.
 */
function explain(answer: string | null, call: "seccomp" | "pidfd_getfd"): string {
  if (answer === null) return NOT_STARTED;
  if (!answer.startsWith(ENDED)) return answer;
  const status = Number(answer.slice(ENDED.length));
  if (status <= SIGNALLED) return NOT_STARTED;
  const signal = status - SIGNALLED;
  // The runtime writes files of its own, such as what it has compiled.
  if (signal === SIGXFSZ) return `${FILES_TOO_SHORT}: it was killed by SIGXFSZ`;
  if (signal !== SIGSYS) return `the supervisor was killed by signal ${signal}`;
  const remedy = call === "pidfd_getfd" ? `; --on socket does without ${call}` : "";
  return `a seccomp filter kills whoever calls ${call}(2), as SystemCallFilter= of a unit may: allow it there${remedy}`;
}

/** The contents of the handover message. */
export interface Handover {
  readonly listener: Descriptor;
  readonly notification: Notification;
  /** A descriptor of the command's process, from before it became the command. */
  readonly fd: ForeignFd;
}

/**
 * Reads the message of `handOver` and leaves it in the socket. Null when the command's process ended before it sent
 * one.
 */
export function receiveHandover(handoverSocket: Descriptor): Handover | null {
  const message = receive(handoverSocket, MSG_PEEK);
  if (message === null) return null;
  const [listener, memory] = message.descriptors;
  if (listener === undefined || memory === undefined) throw new Error("the handover lacks its descriptors");
  const notification = new Notification(mapShared(memory, NOTIFICATION_SIZE));
  memory.close();
  return { listener, notification, fd: Number(message.text) };
}

/**
 * Sends an answer to the command's process: `STARTED`, why the command may not start, or with null that it may.
 *
 * @returns `false` when the command runs already, so that this supervisor is not the first.
 */
export function answer(handoverSocket: Descriptor, text: string | null): boolean {
  return attempt(() => send({ text: text ?? READY, descriptors: [] }, handoverSocket), "EPIPE", "ECONNRESET");
}

/** Returns whether this process may duplicate a descriptor of the command's, and so probably of its descendants'. */
export function mayDuplicate(command: Descriptor, fd: ForeignFd): boolean {
  try {
    pidfdGetfd(command, fd).close();
    return true;
  } catch (error) {
    // EBADF and ESRCH come after the check of permissions.
    return !isSyscallError(error, "EPERM", "ENOSYS");
  }
}
