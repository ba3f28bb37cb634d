// This process, and the thread that calls: credentials, namespaces, resource limits, scheduling.

import { check, checkCall, lazily } from "./call.ts";
import type { Descriptor } from "./descriptor.ts";
import { EACCES, SyscallError } from "./errno.ts";
import { isUnresponsive, noteProcess } from "./progress.ts";
import { SIGKILL } from "./signal.ts";
import { SYS_kcmp, SYS_sched_setattr } from "./unistd.ts";

const credentialSymbols = lazily({ geteuid: { parameters: [], result: "u32" } });

const fsCredentialSymbols = lazily({
  setfsuid: { parameters: ["u32"], result: "u32" },
  setfsgid: { parameters: ["u32"], result: "u32" },
});

const prctlSymbols = lazily({ prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" } });

const namespaceSymbols = lazily({ setns: { parameters: ["i32", "i32"], result: "i32" } });

const kcmpSymbols = lazily({
  kcmp: { name: "syscall", parameters: ["usize", "i32", "i32", "i32", "usize", "usize"], result: "i32" },
});

const limitSymbols = lazily({
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
});

const prioritySymbols = lazily({
  getpriority: { parameters: ["i32", "u32"], result: "i32" },
  setpriority: { parameters: ["i32", "u32", "i32"], result: "i32" },
});

const schedulingSymbols = lazily({
  sched_setattr: { name: "syscall", parameters: ["usize", "i32", "buffer", "u32"], result: "i32" },
});

/** geteuid(2). */
export function geteuid(): number {
  return credentialSymbols().geteuid();
}

/**
 * setfsuid(2) and setfsgid(2): sets the owner of files, and so of sockets, made from now on. Returns whether that
 * worked.
 */
export function setFsCredentials(uid: number, gid: number): boolean {
  const { setfsuid, setfsgid } = fsCredentialSymbols();
  setfsgid(gid);
  setfsuid(uid);
  // Neither call fails visibly. Each returns the previous id, so that a second call shows the effect of the first.
  return setfsgid(gid) === gid && setfsuid(uid) === uid;
}

const PR_SET_NO_NEW_PRIVS = 38;

/** prctl(2) PR_SET_NO_NEW_PRIVS, for the calling thread: execve(2) grants no further privileges. */
export function setNoNewPrivs(): void {
  check("prctl", prctlSymbols().prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n));
}

const PR_SET_PDEATHSIG = 1;

/** prctl(2) PR_SET_PDEATHSIG: the kernel kills this process when the thread that started it ends. */
export function setParentDeathSignal(): void {
  check("prctl", prctlSymbols().prctl(PR_SET_PDEATHSIG, BigInt(SIGKILL), 0n, 0n, 0n));
}

/** CLONE_NEWNET of <sched.h>: the network namespace, to setns(2). */
export const CLONE_NEWNET = 0x40000000;

/** setns(2): moves the calling thread, and it alone, into the namespace that `namespace` refers to. */
export function setns(namespace: Descriptor, type: number): void {
  checkCall("setns", () => namespaceSymbols().setns(namespace.number, type));
}

const KCMP_FILES = 2;

/** kcmp(2) with KCMP_FILES: returns whether two tasks share one table of descriptors. Needs CONFIG_KCMP. */
export function shareDescriptors(pid: number, other: number): boolean {
  noteProcess(pid);
  if (isUnresponsive(pid)) throw new SyscallError("kcmp", EACCES);
  return checkCall("kcmp", () => kcmpSymbols().kcmp(SYS_kcmp, pid, other, KCMP_FILES, 0n, 0n)) === 0;
}

/** Bytes. SIGXFSZ kills a process that makes a file longer. */
export const RLIMIT_FSIZE = 1;
export const RLIMIT_NOFILE = 7;
const RLIMIT_MEMLOCK = 8;
export const RLIM_INFINITY = 0xffffffffffffffffn;

/** A resource limit: the soft one, which is enforced, and the hard one, up to which a process may raise the soft one. */
export interface Limit {
  readonly soft: bigint;
  readonly hard: bigint;
}

/** getrlimit(2). */
export function getrlimit(resource: number): Limit {
  const rlimit = new BigUint64Array(2);
  check("getrlimit", limitSymbols().getrlimit(resource, rlimit));
  return { soft: rlimit[0]!, hard: rlimit[1]! };
}

/** setrlimit(2). */
export function setrlimit(resource: number, { soft, hard }: Limit): void {
  check("setrlimit", limitSymbols().setrlimit(resource, new BigUint64Array([soft, hard])));
}

/**
 * Calls `work` with RLIMIT_MEMLOCK as high as it may be: before Linux 5.11 it limits the memory of BPF programs and maps.
 */
export function withLockedMemory<T>(work: () => T): T {
  const before = getrlimit(RLIMIT_MEMLOCK);
  const { setrlimit } = limitSymbols();
  const set = ({ soft, hard }: Limit) => setrlimit(RLIMIT_MEMLOCK, new BigUint64Array([soft, hard])) === 0;
  // Raising the hard limit takes CAP_SYS_RESOURCE.
  if (!set({ soft: RLIM_INFINITY, hard: RLIM_INFINITY })) set({ ...before, soft: before.hard });
  try {
    return work();
  } finally {
    set(before);
  }
}

/** getpriority(2): the nice value of the calling thread. */
export function nice(): number {
  return prioritySymbols().getpriority(0, 0);
}

/**
 * setpriority(2): sets the nice value of the calling thread, which what it starts inherits. A lower one than before takes
 * CAP_SYS_NICE; a failure is ignored.
 */
export function setNice(nice: number): void {
  prioritySymbols().setpriority(0, 0, nice);
}

const SCHED_FLAG_KEEP_POLICY = 8n;
/** The shortest slice that the kernel takes. */
const SLICE_NS = 100_000n;

/**
 * sched_setattr(2) with a short slice, for the calling thread: when woken it runs sooner, with the same share of the
 * processor. Linux ≥ 6.12; a failure is ignored.
 */
export function setShortSlice(): void {
  const { sched_setattr } = schedulingSymbols();
  // struct sched_attr {u32 size, policy; u64 flags; s32 nice; u32 priority; u64 runtime, deadline, period}
  const attributes = BigUint64Array.of(48n, SCHED_FLAG_KEEP_POLICY, BigInt(nice()) & 0xffffffffn, SLICE_NS, 0n, 0n);
  sched_setattr(SYS_sched_setattr, 0, new Uint8Array(attributes.buffer), 0);
}
