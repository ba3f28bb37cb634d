// The setsockopt(2) calls that set keepalive, and the getsockopt(2) calls that read it, on one socket.

import { isSyscallError } from "../../ffi/errno.ts";
import {
  getsockopt,
  IPPROTO_TCP,
  setsockopt,
  SO_KEEPALIVE,
  SOL_SOCKET,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_USER_TIMEOUT,
} from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { type SocketPhase, type Step, steps } from "../keepalive/socket_options.ts";
import type { Keepalive, KeepaliveValues } from "../keepalive/values.ts";

/** The result of setting one option. */
export interface OptionResult {
  /** `TCP_KEEPIDLE`. */
  readonly option: string;
  readonly value: number;
  /** The errno's name when the kernel refused it, as it does `TCP_USER_TIMEOUT` on MPTCP with ENOPROTOOPT. */
  readonly error: string | null;
}

/** Sets one option. A refusal of the kernel is a result, not an error. */
function take(socket: Descriptor, { option, level, name, value }: Step): OptionResult {
  try {
    setsockopt(socket, level, name, value);
    return { option, value, error: null };
  } catch (error) {
    if (isSyscallError(error)) return { option, value, error: error.code };
    throw error;
  }
}

/** Turns keepalive on with `values`, or off. The other options are set even if the kernel refuses one. */
export function apply(socket: Descriptor, values: KeepaliveValues | "off", phase: SocketPhase): OptionResult[] {
  return steps(values, phase).map((step) => take(socket, step));
}

/**
 * Reads the keepalive of a TCP socket. Connections inherit that of the listener that accepts them.
 *
 * @throws {SyscallError} When it is not a TCP or MPTCP socket.
 */
export function read(socket: Descriptor): Keepalive {
  return {
    enabled: getsockopt(socket, SOL_SOCKET, SO_KEEPALIVE) !== 0,
    idleS: getsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE),
    intervalS: getsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL),
    count: getsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT),
    userTimeoutMs: readOptional(socket, IPPROTO_TCP, TCP_USER_TIMEOUT),
  };
}

/** Reads an option; null where the socket lacks it, as those of MPTCP lack some (seen on Linux 6.18). */
export function readOptional(socket: Descriptor, level: number, name: number): number | null {
  try {
    return getsockopt(socket, level, name);
  } catch (error) {
    if (isSyscallError(error, "EOPNOTSUPP", "ENOPROTOOPT")) return null;
    throw error;
  }
}
