// poll(2).

import { isSyscallError } from "./errno.ts";
import { check, lazily } from "./call.ts";

const polling = lazily({ poll: { parameters: ["buffer", "usize", "i32"], result: "i32" } });

export { POLLIN, POLLOUT } from "./streams.ts";

/**
 * Waits until one of `events`, an error or a hang-up is there, at most `timeout_ms`, or for ever when that is −1.
 *
 * @returns What is there: 0 when the time is over.
 */
export function poll(fd: number, events: number, timeout_ms: number): number {
  return pollAll([[fd, events]], timeout_ms)[0];
}

/** As `poll`, of several descriptors, each with events of its own. @returns What is there of each. */
export function pollAll(descriptors: readonly (readonly [fd: number, events: number])[], timeout_ms: number): number[] {
  // struct pollfd {int fd; short events, revents}
  const pollfds = Int32Array.from(descriptors.flat());
  for (;;) {
    try {
      check("poll", polling().poll(pollfds, BigInt(descriptors.length), timeout_ms));
      return descriptors.map((_, i) => pollfds[2 * i + 1] >> 16);
    } catch (error) {
      if (!isSyscallError(error, "EINTR")) throw error;
    }
  }
}
