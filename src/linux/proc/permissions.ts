// Explains missing permissions on other processes: capabilities(7), ptrace(2) and Yama.

import { readFile } from "./process.ts";

/** Numbers of <linux/capability.h>. */
const CAPABILITIES = {
  CAP_DAC_OVERRIDE: 1,
  CAP_DAC_READ_SEARCH: 2,
  CAP_NET_ADMIN: 12,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

/** Whether this thread has a capability in its effective set. */
export function hasCapability(name: keyof typeof CAPABILITIES): boolean {
  const [, effective] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFile("/proc/thread-self/status") ?? "") ?? [];
  return (BigInt(`0x${effective ?? 0}`) >> BigInt(CAPABILITIES[name]) & 1n) === 1n;
}

/** Whether a seccomp filter decides about this thread's system calls. */
export function hasSeccompFilter(): boolean {
  return /^Seccomp:\s*2$/m.test(readFile("/proc/thread-self/status") ?? "");
}

/** Reads kernel.yama.ptrace_scope; 0 without Yama. */
export function yamaScope(): number {
  return Number(readFile("/proc/sys/kernel/yama/ptrace_scope") ?? 0);
}

/** Whether Yama in that scope denies a process the descriptors of processes that do not descend from it. */
export function yamaForbids(scope: number, hasPtrace: boolean): boolean {
  return scope === 3 || (scope > 0 && !hasPtrace);
}

/**
 * Explains what this thread lacks to read the processes of all users; null when it lacks nothing. Opening /proc/PID/fd, a
 * directory of the process's user, takes one capability, reading its links another.
 */
export function explainProcDenied(): string | null {
  const lacking = [
    ...hasCapability("CAP_SYS_PTRACE") ? [] : ["CAP_SYS_PTRACE"],
    ...hasCapability("CAP_DAC_READ_SEARCH") || hasCapability("CAP_DAC_OVERRIDE") ? [] : ["CAP_DAC_READ_SEARCH"],
  ];
  return lacking.length === 0 ? null : `needs ${lacking.join(" and ")}`;
}

/**
 * Explains what this thread lacks to enter other network namespaces. Reading /proc/PID/ns/net takes one capability,
 * setns(2) another.
 */
export function explainSetnsDenied(): string {
  const lacking = (["CAP_SYS_PTRACE", "CAP_SYS_ADMIN"] as const).filter((name) => !hasCapability(name));
  return lacking.length > 0 ? `needs ${lacking.join(" and ")}` : "needs CAP_SYS_ADMIN in its user namespace as well";
}

/** Explains an EPERM of pidfd_getfd(2). */
export function explainGetfdDenied(): string {
  const scope = yamaScope();
  if (scope === 3) return "kernel.yama.ptrace_scope is 3, which forbids it to everyone";
  if (!hasCapability("CAP_SYS_PTRACE")) {
    return scope === 0
      ? "needs CAP_SYS_PTRACE"
      : `needs CAP_SYS_PTRACE, also for one's own (kernel.yama.ptrace_scope is ${scope})`;
  }
  return "forbidden despite CAP_SYS_PTRACE, by a seccomp filter, a security module or the process's user namespace";
}
