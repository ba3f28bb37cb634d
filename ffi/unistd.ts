// System call numbers, from <asm/unistd.h>, for what glibc does not wrap, or only in recent versions.

import { host } from "./deno.ts";

const isX86 = host.arch === "x86_64";

export const SYS_bpf = isX86 ? 321n : 280n;
export const SYS_getdents64 = isX86 ? 217n : 61n;
export const SYS_kcmp = isX86 ? 312n : 272n;
export const SYS_pidfd_getfd = 438n;
export const SYS_pidfd_open = 434n;
export const SYS_pidfd_send_signal = 424n;
export const SYS_sched_setattr = isX86 ? 314n : 274n;
export const SYS_seccomp = isX86 ? 317n : 277n;
export const SYS_tgkill = isX86 ? 234n : 131n;
