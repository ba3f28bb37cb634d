// poll(2), of one descriptor.

import { check, isSyscallError, lazily } from "./libc.ts";

const polling = lazily({ poll: { parameters: ["buffer", "usize", "i32"], result: "i32" } });

export { POLLIN, POLLOUT } from "./streams.ts";

const pollfd = new Int32Array(2);

/**
 * Waits until one of `events`, an error or a hang-up is there, at most `timeout_ms`, or for ever when that is −1.
 *
 * @returns What is there: 0 when the time is over.
 */
export function poll(fd: number, events: number, timeout_ms: number): number {
  // struct pollfd {int fd; short events, revents}
  pollfd[0] = fd;
  pollfd[1] = events;
  for (;;) {
    try {
      check("poll", polling().poll(pollfd, 1n, timeout_ms));
      return pollfd[1] >> 16;
    } catch (error) {
      if (!isSyscallError(error, "EINTR")) throw error;
    }
  }
}
