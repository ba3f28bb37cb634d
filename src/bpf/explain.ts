// Says in words why bpf(2) fails.

import { isSyscallError } from "../../ffi/errno.ts";
import { VerifierError } from "../../ffi/bpf.ts";
import { withLockedMemory } from "../../ffi/process.ts";
import { UnsupportedError } from "../model/errors.ts";
import { hasCapability } from "../linux/proc/permissions.ts";

/** Why a pass over sockets cannot be made. Since Linux 5.15 a program may set their options, since 6.1 it may read them. */
export const CANNOT_READ_LISTED = "This kernel cannot read the options of sockets as it lists them: Linux 6.1 can";

/** What functions of the kernel that not every kernel, or user, may use are used for. */
const HELPERS: readonly (readonly [RegExp, string])[] = [
  [/bpf_get_netns_cookie/, "This kernel cannot tell the network namespace as a connection is made: Linux 5.15 can"],
  [/bpf_get_socket_cookie/, CANNOT_READ_LISTED],
  [/bpf_skc_to_tcp_sock/, "The user as a connection is made is told to CAP_PERFMON only"],
];

type Capability = Parameters<typeof hasCapability>[0];

/**
 * Returns the result of `work`, which calls bpf(2).
 *
 * @throws {UnsupportedError} When this host or user cannot do that.
 */
export function withBpf<T>(work: () => T, needed: readonly Capability[] = ["CAP_BPF", "CAP_NET_ADMIN"]): T {
  try {
    return withLockedMemory(work);
  } catch (error) {
    throw explain(error, needed);
  }
}

/** Like `withBpf`, for the kernel's iterators. What is done with iterators can be done without. */
export function withIterator<T>(work: () => T): T {
  return withOptionalBpf(work, ["CAP_BPF", "CAP_PERFMON"]);
}

/**
 * Returns the result of `work`, which does with bpf(2) what can be done without. Without the capabilities bpf(2) is not even
 * called: a seccomp filter may kill who calls it.
 *
 * @throws {UnsupportedError} When this host or user cannot do that.
 */
export function withOptionalBpf<T>(work: () => T, needed: readonly Capability[]): T {
  const missing = explainLacking(needed);
  if (missing !== null) throw new UnsupportedError(missing);
  return withBpf(work, needed);
}

function explain(error: unknown, needed: readonly Capability[]): unknown {
  if (error instanceof VerifierError) {
    const [, text] = HELPERS.find(([helper]) => helper.test(error.reason)) ?? [];
    return new UnsupportedError(text ?? `The kernel's verifier refuses the program: ${error.reason}`);
  }
  if (!isSyscallError(error) || !error.syscall.startsWith("bpf(")) return error;
  if (error.code === "ENOSYS") return new UnsupportedError("This kernel, or a seccomp filter, has no bpf(2)");
  if (error.code === "EPERM") return new UnsupportedError(`BPF is denied: ${explainBpfDenied(needed)}`);
  return new UnsupportedError(`BPF cannot be used here: ${error.message}`);
}

/** Returns the capabilities that this thread lacks. CAP_SYS_ADMIN stands for each of them. */
function lacking(needed: readonly Capability[]): Capability[] {
  const isAdmin = hasCapability("CAP_SYS_ADMIN");
  return needed.filter((name) => !isAdmin && !hasCapability(name));
}

/** Says which capabilities this thread lacks; null when it has them all. */
export function explainLacking(needed: readonly Capability[]): string | null {
  const missing = lacking(needed);
  return missing.length === 0 ? null : `BPF is denied: needs ${missing.join(" and ")}`;
}

/** Explains an EPERM of bpf(2). */
function explainBpfDenied(needed: readonly Capability[]): string {
  const missing = lacking(needed);
  if (missing.length > 0) return `needs ${missing.join(" and ")}`;
  return "forbidden despite its capabilities, by a seccomp filter, a security module or its user namespace, " +
    "or before Linux 5.11 by a low RLIMIT_MEMLOCK";
}
