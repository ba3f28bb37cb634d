// Processes: starting one, turning into one, and what it inherits.

import { host } from "./deno.ts";
import { check, cString, Descriptor, lazily, O_CLOEXEC, SyscallError } from "./libc.ts";
import { allocate, cStrings } from "./memory.ts";

const redirecting = lazily({ dup2: { parameters: ["i32", "i32"], result: "i32" } });

const starting = lazily({
  fcntl: { parameters: ["i32", "i32", "usize"], result: "i32" },
  posix_spawn: { parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"], result: "i32" },
  posix_spawn_file_actions_addopen: { parameters: ["buffer", "i32", "buffer", "i32", "u32"], result: "i32" },
  posix_spawn_file_actions_addclose: { parameters: ["buffer", "i32"], result: "i32" },
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_setflags: { parameters: ["buffer", "i32"], result: "i32" },
  posix_spawnattr_setsigdefault: { parameters: ["buffer", "buffer"], result: "i32" },
  posix_spawnattr_destroy: { parameters: ["buffer"], result: "i32" },
});

const assigning = lazily({
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_adddup2: { parameters: ["buffer", "i32", "i32"], result: "i32" },
});

/** What a child needs that is started as any other program would be, with the environment that this process has. */
const multiplying = lazily({
  posix_spawn: { parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "usize"], result: "i32" },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
});

const attending = lazily({
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  tgkill: { name: "syscall", parameters: ["usize", "i32", "i32", "i32"], result: "i32" },
});

const becoming = lazily({
  execvpe: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
});

const limiting = lazily({
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
});

const controlling = lazily({ prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" } });

const disposing = lazily({ signal: { parameters: ["i32", "usize"], result: "isize" } });

const acting = lazily({
  setfsuid: { parameters: ["u32"], result: "u32" },
  setfsgid: { parameters: ["u32"], result: "u32" },
});

const watching = lazily({
  pidfd_send_signal: { name: "syscall", parameters: ["usize", "i32", "i32", "usize", "u32"], result: "i32" },
});

const scheduling = lazily({
  getpriority: { parameters: ["i32", "u32"], result: "i32" },
  sched_setattr: { name: "syscall", parameters: ["usize", "i32", "buffer", "u32"], result: "i32" },
});

export const SIGUSR2 = 12;
export const SIGCHLD = 17;

export const O_RDWR = 2;

/** What a new process does to its descriptors before its program starts, in this order. */
export type FileAction =
  | { readonly action: "open"; readonly fd: number; readonly path: string; readonly flags: number }
  | { readonly action: "duplicate"; readonly from: Descriptor; readonly to: number }
  | { readonly action: "close"; readonly fd: number };

const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
/** More than posix_spawnattr_t, the larger of the two opaque types, takes (336 bytes). */
const OPAQUE_SIZE = 512;
const SIGSET_SIZE = 128;

/** posix_spawn(3) answers with an errno. */
function checkSpawn(error: number): void {
  if (error !== 0) throw new SyscallError("posix_spawn", error);
}

/**
 * posix_spawn(3) of a child in a session of its own, with no signal blocked, and SIGCHLD and SIGUSR2 not ignored.
 *
 * @param path The program, absolute.
 * @returns The child's process id.
 */
export function spawn(
  path: string,
  args: readonly Uint8Array[],
  environment: readonly Uint8Array[],
  actions: readonly FileAction[],
): number {
  const c = starting();
  const files = allocate(OPAQUE_SIZE);
  const attributes = allocate(OPAQUE_SIZE);
  checkSpawn(assigning().posix_spawn_file_actions_init(files));
  checkSpawn(c.posix_spawnattr_init(attributes));
  try {
    for (const action of actions) addFileAction(files, action);
    const signals = allocate(SIGSET_SIZE);
    for (const signal of [SIGCHLD, SIGUSR2]) signals[(signal - 1) >> 3] |= 1 << ((signal - 1) & 7);
    checkSpawn(c.posix_spawnattr_setsigdefault(attributes, signals));
    // The mask that SETSIGMASK sets is the empty one that init has put there.
    const flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    checkSpawn(c.posix_spawnattr_setflags(attributes, flags));
    const pid = new Int32Array(1);
    checkSpawn(c.posix_spawn(pid, cString(path), files, attributes, cStrings(args), cStrings(environment)));
    return pid[0];
  } finally {
    c.posix_spawn_file_actions_destroy(files);
    c.posix_spawnattr_destroy(attributes);
  }
}

function addFileAction(files: Uint8Array, action: FileAction): void {
  const c = starting();
  switch (action.action) {
    case "open":
      return checkSpawn(c.posix_spawn_file_actions_addopen(files, action.fd, cString(action.path), action.flags, 0));
    case "duplicate":
      return checkSpawn(assigning().posix_spawn_file_actions_adddup2(files, action.from.number, action.to));
    case "close":
      return checkSpawn(c.posix_spawn_file_actions_addclose(files, action.fd));
  }
}

/**
 * posix_spawn(3) of a child in the session and the process group of this process, with its environment and all of its
 * descriptors but those that execve(2) closes.
 *
 * @param path The program, absolute.
 * @param args Its arguments, the name by which it is called among them.
 * @param streams Descriptors that the child has as its standard streams; a stream of the same number stays open.
 * @returns The child's process id.
 */
export function spawnAlike(
  path: string,
  args: readonly Uint8Array[],
  streams: readonly (readonly [from: Descriptor, to: 0 | 1 | 2])[],
): number {
  const files = streams.length === 0 ? null : allocate(OPAQUE_SIZE);
  if (files !== null) checkSpawn(assigning().posix_spawn_file_actions_init(files));
  for (const [from, to] of streams) {
    checkSpawn(assigning().posix_spawn_file_actions_adddup2(files, from.number, to));
  }
  const pid = new Int32Array(1);
  checkSpawn(multiplying().posix_spawn(pid, cString(path), files, null, cStrings(args), host.environ()));
  return pid[0];
}

/** pipe2(2): the end to read from and the end to write to. @param inherited Whether both stay open with execve(2). */
export function pipe(inherited = false): [Descriptor, Descriptor] {
  const pair = new Int32Array(2);
  check("pipe2", multiplying().pipe2(pair, inherited ? 0 : O_CLOEXEC));
  return [new Descriptor(pair[0]), new Descriptor(pair[1])];
}

/** waitpid(2) for a child that ends by itself. Returns its wait status. */
export function wait(pid: number): number {
  const status = new Int32Array(1);
  check("waitpid", attending().waitpid(pid, status, 0));
  return status[0];
}

const WNOHANG = 1;

/** waitpid(2) with WNOHANG: whether a child has ended. */
export function hasEnded(pid: number): boolean {
  return attending().waitpid(pid, null, WNOHANG) !== 0;
}

const SYS_pidfd_send_signal = 424n;

/** pidfd_send_signal(2). @throws {SyscallError} `ESRCH` when the process has ended. */
export function sendSignal(pidfd: Descriptor, signal: number): void {
  check("pidfd_send_signal", watching().pidfd_send_signal(SYS_pidfd_send_signal, pidfd.number, signal, 0n, 0));
}

const SYS_tgkill = host.arch === "x86_64" ? 234n : 131n;

/** Sends a process a signal, by tgkill(2) of its first thread: whoever may not send signals may do that, as runtimes need it. */
export function kill(pid: number, signal: number): void {
  check("tgkill", attending().tgkill(SYS_tgkill, pid, pid, signal));
}

/**
 * execve(2): this process becomes `path`. A file that the kernel does not know how to run goes to /bin/sh, as
 * execvpe(3) and shells have it.
 *
 * @throws {SyscallError} It returns only by failing.
 */
export function execute(path: string, args: readonly Uint8Array[], environment: readonly Uint8Array[]): never {
  check("execve", becoming().execvpe(cString(path), cStrings(args), cStrings(environment)));
  throw new Error("execve has returned");
}

const F_SETFD = 2;

/** fcntl(2) F_SETFD: a descriptor stays open with execve(2). */
export function keepOnExec(fd: number): void {
  check("fcntl", starting().fcntl(fd, F_SETFD, 0n));
}

const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

/** fcntl(2) F_SETFL without O_NONBLOCK, for all who have the same open file. */
export function setBlocking(fd: number): void {
  const flags = check("fcntl", starting().fcntl(fd, F_GETFL, 0n));
  if (flags & O_NONBLOCK) check("fcntl", starting().fcntl(fd, F_SETFL, BigInt(flags & ~O_NONBLOCK)));
}

const F_DUPFD_CLOEXEC = 1030;

/** fcntl(2) F_DUPFD_CLOEXEC: a duplicate whose number is at least `lowest`. */
export function duplicateFrom(descriptor: Descriptor, lowest: number): Descriptor {
  return new Descriptor(check("fcntl", starting().fcntl(descriptor.number, F_DUPFD_CLOEXEC, BigInt(lowest))));
}

const SYS_sched_setattr = host.arch === "x86_64" ? 314n : 274n;
const SCHED_FLAG_KEEP_POLICY = 8n;
/** The shortest that the kernel takes. */
const SLICE_NS = 100_000n;

/**
 * sched_setattr(2) with a short slice, for the calling thread: it gets no more of the processor, but gets it sooner when it
 * is woken. Linux ≥ 6.12; nothing happens where it cannot be had.
 */
export function runSoonWhenWoken(): void {
  const { getpriority, sched_setattr } = scheduling();
  const nice = BigInt(getpriority(0, 0)) & 0xffffffffn;
  // struct sched_attr {u32 size, policy; u64 flags; s32 nice; u32 priority; u64 runtime, deadline, period}
  const attributes = BigUint64Array.of(48n, SCHED_FLAG_KEEP_POLICY, nice, SLICE_NS, 0n, 0n);
  sched_setattr(SYS_sched_setattr, 0, new Uint8Array(attributes.buffer), 0);
}

/** dup2(2): the number `to` means what `from` does from now on. */
export function redirect(to: number, from: number): void {
  check("dup2", redirecting().dup2(from, to));
}

const PR_SET_NO_NEW_PRIVS = 38;

/** prctl(2) PR_SET_NO_NEW_PRIVS, for the calling thread: no program gives it rights that it has not got. */
export function setNoNewPrivs(): void {
  check("prctl", controlling().prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n));
}

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9n;

/** prctl(2) PR_SET_PDEATHSIG: this process is killed when the thread that has started it ends. */
export function dieWithParent(): void {
  check("prctl", controlling().prctl(PR_SET_PDEATHSIG, SIGKILL, 0n, 0n, 0n));
}

/** The signals of signal(7) that a process disposes of: all but SIGKILL, SIGSTOP and the real-time ones. */
export const SIGNALS: readonly number[] = Array.from({ length: 31 }, (_, i) => i + 1)
  .filter((signal) => signal !== 9 && signal !== 19);

const SIG_DFL = 0n;
const SIG_IGN = 1n;

/** signal(2) with SIG_DFL. */
export function restoreDefault(signal: number): void {
  dispose(signal, SIG_DFL);
}

/** signal(2) with SIG_IGN. */
export function ignore(signal: number): void {
  dispose(signal, SIG_IGN);
}

function dispose(signal: number, disposition: bigint): void {
  if (disposing().signal(signal, disposition) === -1n) throw new Error(`signal ${signal} does not exist`);
}

const RLIMIT_FSIZE = 1;
const RLIMIT_NOFILE = 7;

/** One resource limit: the soft one, which counts, and the hard one, up to which a process may raise it. */
export interface Limit {
  readonly soft: bigint;
  readonly hard: bigint;
}

function limitOf(resource: number): Limit {
  const rlimit = new BigUint64Array(2);
  check("getrlimit", limiting().getrlimit(resource, rlimit));
  return { soft: rlimit[0], hard: rlimit[1] };
}

/** getrlimit(2) RLIMIT_NOFILE. */
export function descriptorLimit(): Limit {
  return limitOf(RLIMIT_NOFILE);
}

/** getrlimit(2) RLIMIT_FSIZE, in bytes. A process that makes a file longer is killed by SIGXFSZ. */
export function fileSizeLimit(): Limit {
  return limitOf(RLIMIT_FSIZE);
}

/** setrlimit(2) RLIMIT_NOFILE. */
export function setDescriptorLimit({ soft, hard }: Limit): void {
  check("setrlimit", limiting().setrlimit(RLIMIT_NOFILE, new BigUint64Array([soft, hard])));
}

/** setfsuid(2) and setfsgid(2): the user that files, and so sockets, are made for. Returns whether it is so now. */
export function actAs(uid: number, gid: number): boolean {
  const { setfsuid, setfsgid } = acting();
  setfsgid(gid);
  setfsuid(uid);
  // They do not fail, but return what was set before; a second call tells what the first has done.
  return setfsgid(gid) === gid && setfsuid(uid) === uid;
}
