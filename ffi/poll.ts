// poll(2).

import { isSyscallError } from "./errno.ts";
import { check, lazily } from "./call.ts";

const pollSymbols = lazily({ poll: { parameters: ["buffer", "usize", "i32"], result: "i32" } });

export { PIPE_BUF, POLLIN, POLLOUT } from "./streams.ts";

/**
 * Waits until a descriptor has one of `events`, an error or a hang-up, at most `timeoutMs`, or for ever when that is −1.
 *
 * @returns The events; 0 when the time is over.
 */
export function poll(fd: number, events: number, timeoutMs: number): number {
  const [returned] = pollAll([[fd, events]], timeoutMs);
  return returned;
}

/** Waits as `poll` does, for several descriptors, each with its own events. Returns the events of each. */
export function pollAll<const D extends readonly (readonly [fd: number, events: number])[]>(
  descriptors: D,
  timeoutMs: number,
): { [K in keyof D]: number } {
  // struct pollfd {int fd; short events, revents}
  const pollfds = Int32Array.from(descriptors.flat());
  for (;;) {
    try {
      check("poll", pollSymbols().poll(pollfds, BigInt(descriptors.length), timeoutMs));
      return descriptors.map((_, i) => pollfds[2 * i + 1]! >> 16) as { [K in keyof D]: number };
    } catch (error) {
      if (!isSyscallError(error, "EINTR")) throw error;
    }
  }
}
