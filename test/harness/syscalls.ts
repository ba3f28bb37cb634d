// System calls that fail, as on a kernel without them or under a container runtime's filter.

import { pythonProgram } from "./peer.ts";

/** The numbers of system calls on x86-64, and on aarch64. */
const NUMBERS = {
  acct: [163, 89],
  bpf: [321, 280],
  memfd_create: [319, 279],
  pidfd_getfd: [438, 438],
  pidfd_open: [434, 434],
  seccomp: [317, 277],
  setsockopt: [54, 208],
  socket: [41, 198],
} as const;

/**
 * The command within which a system call fails with an errno, or kills who makes it: "KILL".
 * @param when `INDEX=VALUE`: it fails only where this argument has that value.
 */
export function withoutSyscall(name: keyof typeof NUMBERS, errno: string, when?: string): string[] {
  const number = NUMBERS[name][Deno.build.arch === "x86_64" ? 0 : 1];
  return pythonProgram("without_syscall.py", when === undefined ? number : `${number}:${when}`, errno);
}
