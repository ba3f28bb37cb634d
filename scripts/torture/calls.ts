// The system calls that tcphup itself makes, told from its runtime's in what strace(1) writes; and how they may fail.

/** What any call may fail with, be it that a security module or a seccomp filter says so. */
const ANY = ["EPERM", "EACCES", "EINTR", "EAGAIN", "ENOMEM", "EINVAL", "ENOSYS", "EIO", "EBUSY"];
const OPENING = [...ANY, "EMFILE", "ENFILE"];
const OF_SOCKET = [...ANY, "EBADF", "ENOBUFS", "ENOTCONN", "EOPNOTSUPP", "ENOPROTOOPT"];
const OF_PROC = [...OPENING, "ENOENT", "ESRCH"];

/**
 * What is made to fail, and with what. The rest is the runtime's: memory (mmap, munmap, mprotect, madvise, brk), threads and
 * locks (futex, clone3 with CLONE_THREAD, gettid), its event loop (epoll, eventfd), signals. That proves nothing here.
 */
export const ERRNOS: Readonly<Record<string, readonly string[]>> = {
  socket: [...OPENING, "ENOBUFS", "EAFNOSUPPORT", "EPROTONOSUPPORT"],
  socketpair: OPENING,
  bind: [...OF_SOCKET, "EADDRINUSE", "EADDRNOTAVAIL"],
  listen: OF_SOCKET,
  accept4: [...OF_SOCKET, "EMFILE", "ENFILE", "ECONNABORTED"],
  connect: [...OF_SOCKET, "EAFNOSUPPORT", "ECONNREFUSED", "EADDRNOTAVAIL"],
  getsockname: OF_SOCKET,
  getpeername: OF_SOCKET,
  getsockopt: OF_SOCKET,
  setsockopt: OF_SOCKET,
  shutdown: OF_SOCKET,
  sendto: OF_SOCKET,
  recvfrom: OF_SOCKET,
  sendmsg: OF_SOCKET,
  recvmsg: OF_SOCKET,
  openat: OF_PROC,
  read: [...ANY, "EBADF", "ESRCH", "EISDIR"],
  readlink: [...ANY, "ENOENT", "ESRCH"],
  readlinkat: [...ANY, "ENOENT", "ESRCH", "EBADF"],
  getdents64: [...ANY, "ENOENT", "ENOTDIR", "EBADF"],
  statx: [...ANY, "ENOENT", "ESRCH"],
  // Whatever it says, the descriptor is gone.
  close: ["EINTR", "EIO"],
  write: [...ANY, "EPIPE", "ENOSPC", "EBADF"],
  poll: ["EINTR", "ENOMEM", "EINVAL"],
  ppoll: ["EINTR", "ENOMEM", "EINVAL"],
  pidfd_open: [...OPENING, "ESRCH"],
  pidfd_getfd: [...OPENING, "EBADF", "ESRCH"],
  pidfd_send_signal: [...ANY, "ESRCH"],
  kcmp: [...ANY, "EBADF", "ESRCH"],
  setns: [...ANY, "EBADF"],
  ioctl: [...ANY, "EBADF", "ENOENT", "ENOTTY"],
  seccomp: ANY,
  bpf: [...ANY, "E2BIG", "ENOSPC", "ENOENT"],
  mkdir: [...ANY, "EEXIST", "ENOENT", "EROFS", "ENOSPC"],
  rmdir: [...ANY, "ENOENT", "ENOTEMPTY", "EROFS"],
  getxattr: [...ANY, "ENODATA", "EOPNOTSUPP"],
  prctl: ANY,
  capset: ANY,
  memfd_create: OPENING,
  pipe2: OPENING,
  clone3: ["EAGAIN", "ENOMEM", "EPERM", "ENOSYS"],
  clone: ["EAGAIN", "ENOMEM", "EPERM"],
  vfork: ["EAGAIN", "ENOMEM"],
  execve: ["EACCES", "ENOENT", "ENOMEM", "E2BIG", "EPERM", "EIO"],
};

/** What the runtime never does, on whatever thread it is seen. */
const NEVER_THE_RUNTIME = ["pidfd_open", "pidfd_getfd", "kcmp", "setns", "shutdown", "seccomp", "bpf"];

/**
 * What is the runtime's all the same: its own path, whether this is a terminal, how it passes signals on, waking a
 * thread, starting one, naming one.
 */
const RUNTIME = new RegExp(
  [
    /readlink\("\/proc\/self\/exe"/,
    /ioctl\(\d+, TC/,
    /socketpair\(AF_UNIX, SOCK_STREAM/,
    /sendto\(\d+, "X", 1, MSG_DONTWAIT/,
    /write\(\d+, "\\1\\0\\0\\0\\0\\0\\0\\0", 8/,
    /clone3?\(.*CLONE_THREAD/,
    /prctl\(PR_SET_NAME/,
  ].map(({ source }) => `^${source}`).join("|"),
);

/** A call that the runtime of a compiled program makes once, at the end of its start. */
export const MARKER = "getppid";

/** One system call. */
export interface Call {
  /** The thread. */
  readonly tid: number;
  readonly name: string;
  /** The call as strace writes it. */
  text: string;
  /** It is the how manieth of its name on its thread. */
  readonly when: number;
  /** Whether tcphup makes it. */
  readonly own: boolean;
}

/** Whether it was made to fail. */
export function isInjected({ text }: Call): boolean {
  return text.endsWith("(INJECTED)");
}

/** The calls in what `strace -f -o` wrote of a program that is started as `program`, in order. */
export function readTrace(trace: string, program: string): Call[] {
  const threads = new Map<number, Thread>();
  const calls: Call[] = [];
  for (const line of trace.split("\n")) {
    const [, tid, body] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (body === undefined) continue;
    const number = Number(tid);
    if (!threads.has(number)) threads.set(number, new Thread(number));
    const call = threads.get(number)!.read(body, program);
    if (call !== null) calls.push(call);
  }
  return calls;
}

class Thread {
  readonly #tid: number;
  readonly #counts = new Map<string, number>();
  /** Whether it runs tcphup; null before it starts a program: a thread, or a child that is about to. */
  #isProgram: boolean | null = null;
  #hasBegun = false;
  #last: Call | null = null;

  constructor(tid: number) {
    this.#tid = tid;
  }

  /** Returns the call that a line begins. */
  read(body: string, program: string): Call | null {
    const [, resumed] = /^<\.\.\. \w+ resumed>(.*)$/.exec(body) ?? [];
    const [, name] = /^(\w+)\(/.exec(body) ?? [];
    if (name !== undefined) this.#last = this.#call(name, body.replace(/ <unfinished \.\.\.>$/, ""));
    else if (resumed !== undefined && this.#last !== null) this.#last.text += resumed;
    if (this.#last?.name === "execve" && / = 0$/.test(body)) {
      this.#isProgram = this.#last.text.includes(`"${program}"`);
      this.#hasBegun = false;
    }
    return name === undefined ? null : this.#last;
  }

  #call(name: string, text: string): Call {
    const when = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, when);
    const own = name in ERRNOS && this.#isOwn(name) && !RUNTIME.test(text);
    if (name === MARKER) this.#hasBegun = true;
    return { tid: this.#tid, name, text, when, own };
  }

  #isOwn(name: string): boolean {
    if (NEVER_THE_RUNTIME.includes(name)) return this.#isProgram !== false;
    return this.#isProgram === true && this.#hasBegun;
  }
}
