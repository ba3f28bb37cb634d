// How the listener gets from the command's process to the supervisor: through a pair of unix sockets, where the message
// with it stays lying for the next supervisor, should the first be killed.

import { createMemfd, mapShared } from "../../ffi/memfd.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { pidfdGetfd } from "../../ffi/pidfd.ts";
import type { Descriptor, ForeignFd } from "../../ffi/descriptor.ts";
import { Notification, NOTIFICATION_SIZE } from "../../ffi/seccomp.ts";
import { peek, receive, send, setReceiveTimeout } from "../../ffi/unix.ts";
import { Unsupported } from "../model/errors.ts";
import { ENDED } from "./respawn.ts";

/** How long a supervisor may take to start. */
const PATIENCE_S = 30;

/** What the supervisor says when it has started, and when it can answer for the command. Anything else says why not. */
export const STARTED = "started";
const READY = "ready";
const NOT_STARTED = "the supervisor did not start: --debug shows what it says";

/**
 * Waits until the supervisor has started, and with it whatever a filter might have killed it for.
 *
 * @param socket This process's end of the pair.
 * @throws {Unsupported} When it does not start.
 */
export function awaitStart(socket: Descriptor): void {
  setReceiveTimeout(socket, PATIENCE_S);
  const answer = receiveAnswer(socket);
  if (answer !== STARTED) throw new Unsupported(explain(answer, "seccomp"));
}

/**
 * Gives the supervisor the listener, and memory for the notification that it is working on.
 *
 * @param socket This process's end of the pair. The text of the message is its number, for the supervisor's trial.
 * @throws {Unsupported} When the supervisor says that it cannot work here, or does not say anything.
 */
export function handOver(socket: Descriptor, listener: Descriptor): void {
  const memory = memoryFor(NOTIFICATION_SIZE);
  try {
    send({ text: String(socket.number), descriptors: [listener, memory] }, socket);
  } catch (error) {
    // Nobody is there any more; what there is to say of that is said below.
    if (!isSyscallError(error, "EPIPE")) throw error;
  } finally {
    memory.close();
  }
  let answer = receiveAnswer(socket);
  // Of one that has been started anew meanwhile.
  while (answer === STARTED) answer = receiveAnswer(socket);
  if (answer !== READY) throw new Unsupported(explain(answer, "pidfd_getfd"));
}

function memoryFor(size: number): Descriptor {
  try {
    return createMemfd("tcphup notification", size);
  } catch (error) {
    if (!isSyscallError(error, "EFBIG")) throw error;
    throw new Unsupported(`RLIMIT_FSIZE (LimitFSIZE= of a unit) is too low for the supervisor: it takes ${size} bytes`);
  }
}

/** What has come from the other end; null when nothing has. */
function receiveAnswer(socket: Descriptor): string | null {
  try {
    return receive(socket)?.text ?? null;
  } catch (error) {
    if (isSyscallError(error, "EAGAIN")) return `the supervisor did not start within ${PATIENCE_S} s`;
    throw error;
  }
}

const SIGNALLED = 128;
const SIGSYS = 31;

/** Why there is no supervisor, from what its shell or it itself has said. `call` is the one that it was about to make. */
function explain(answer: string | null, call: "seccomp" | "pidfd_getfd"): string {
  if (answer === null) return NOT_STARTED;
  if (!answer.startsWith(ENDED)) return answer;
  const status = Number(answer.slice(ENDED.length));
  if (status <= SIGNALLED) return NOT_STARTED;
  if (status !== SIGNALLED + SIGSYS) return `the supervisor was killed by signal ${status - SIGNALLED}`;
  const remedy = call === "pidfd_getfd" ? `; --on socket does without ${call}` : "";
  return `a seccomp filter kills whoever calls ${call}(2), as SystemCallFilter= of a unit may: allow it there${remedy}`;
}

/** What a supervisor has been given. */
export interface Handover {
  readonly listener: Descriptor;
  readonly notification: Notification;
  /** A descriptor of the command's process, from before it became the command. */
  readonly fd: ForeignFd;
}

/** Fetches what `handOver` has sent, and leaves it there. Null when the command's process has gone before it sent it. */
export function receiveHandover(handoverSocket: Descriptor): Handover | null {
  const message = peek(handoverSocket);
  if (message === null) return null;
  const [listener, memory] = message.descriptors;
  const notification = new Notification(mapShared(memory, NOTIFICATION_SIZE));
  memory.close();
  return { listener, notification, fd: Number(message.text) as ForeignFd };
}

/**
 * Tells tcphup something: `STARTED`, that the command may start, or with `why` that it may not.
 *
 * @returns `false` when the command has started long ago: this supervisor is not the first.
 */
export function answer(handoverSocket: Descriptor, text: string | null): boolean {
  try {
    send({ text: text ?? READY, descriptors: [] }, handoverSocket);
    return true;
  } catch (error) {
    if (isSyscallError(error, "EPIPE", "ECONNRESET")) return false;
    throw error;
  }
}

/** Whether this process may duplicate a descriptor of that one, which the command's processes resemble. */
export function mayDuplicate(command: Descriptor, fd: ForeignFd): boolean {
  try {
    pidfdGetfd(command, fd).close();
    return true;
  } catch (error) {
    // EBADF, ESRCH: it has closed it, or gone, but it was allowed.
    return !isSyscallError(error, "EPERM", "ENOSYS");
  }
}
