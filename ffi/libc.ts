// The libc functions that tcphup calls: one typed function each. A call that fails throws SyscallError.
//
// Symbols are loaded in groups, at the first call of one of the group. Variadic functions are declared with the
// arguments that we pass, which the calling conventions of Linux on x86-64 and aarch64 allow. Results of type
// ssize_t are declared i32: no call here moves 2 GiB, and a bigint for each would be waste.

import { closeElsewhere, errno, host, load, prepareErrno } from "./deno.ts";
import { EACCES, EAGAIN, EINTR, ENOENT, ESRCH, ETIMEDOUT, SyscallError } from "./errno.ts";
import type { NativeFunctions, NativeSymbols } from "./native.ts";
import { aboutPath, aboutProcess, begin, end, isUnresponsive } from "./progress.ts";

export { EFBIG, ENOBUFS, ENOENT, ETIMEDOUT, isSyscallError, SyscallError } from "./errno.ts";
export { LibcUnavailable } from "./native.ts";

/** The functions of `symbols`, loaded at the first use of one of them. */
export function lazily<const S extends NativeSymbols>(symbols: S): () => NativeFunctions<S> {
  let functions: NativeFunctions<S> | undefined;
  return () => {
    if (functions === undefined) {
      functions = load(symbols);
      prepareErrno();
    }
    return functions;
  };
}

/** What every command needs: netlink and /proc. */
const reading = lazily({
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  openat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  readlinkat: { parameters: ["i32", "buffer", "buffer", "usize"], result: "i32" },
  getdents64: { name: "syscall", parameters: ["usize", "i32", "buffer", "usize"], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
});

const closing = lazily({ close: { parameters: ["i32"], result: "i32" } });

const examining = lazily({
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
});

const writing = lazily({ write: { parameters: ["i32", "buffer", "usize"], result: "i32" } });

const naming = lazily({
  pidfd_open: { name: "syscall", parameters: ["usize", "i32", "u32"], result: "i32" },
});

/** What acting on a socket of another process needs. */
const acting = lazily({
  pidfd_getfd: { name: "syscall", parameters: ["usize", "i32", "i32", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
});

/** What a probe with sockets of its own needs. */
const serving = lazily({
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
});

const namespacing = lazily({ setns: { parameters: ["i32", "i32"], result: "i32" } });

const comparing = lazily({
  kcmp: { name: "syscall", parameters: ["usize", "i32", "i32", "i32", "usize", "usize"], result: "i32" },
});

const resolving = lazily({
  getaddrinfo: { parameters: ["buffer", "buffer", "buffer", "buffer"], result: "i32" },
  freeaddrinfo: { parameters: ["usize"], result: "void" },
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  memcpy: { parameters: ["buffer", "usize", "usize"], result: "usize" },
});

/** System call numbers, from <asm/unistd.h>, for what glibc wraps only in recent versions. */
const x86 = host.arch === "x86_64";
const SYS_getdents64 = x86 ? 217n : 61n;
const SYS_kcmp = x86 ? 312n : 272n;
const SYS_pidfd_open = 434n;
const SYS_pidfd_getfd = 438n;

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;
export const IPPROTO_TCP = 6;
export const IPPROTO_MPTCP = 262;
export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;

export const MSG_DONTWAIT = 0x40;
/** recv(2) returns the datagram's whole length, also where the buffer was shorter. */
export const MSG_TRUNC = 0x20;

export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
export const SO_KEEPALIVE = 9;
export const SO_LINGER = 13;
export const SO_RCVTIMEO = 20;
/** As getpeername(2), but of a socket in SYN-SENT too. The value must be no longer than the family's address. */
export const SO_PEERNAME = 28;
/** 1 for a socket that listens. */
export const SO_ACCEPTCONN = 30;
export const SO_RCVBUFFORCE = 33;
export const SO_RCVBUF = 8;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;
export const SO_COOKIE = 57;
/** The index of the interface that a socket is bound to, 0 for none. */
export const SO_BINDTOIFINDEX = 62;
export const TCP_USER_TIMEOUT = 18;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

export const AT_FDCWD = -100;
export const O_RDONLY = 0;
export const O_CLOEXEC = 0o2000000;
export const O_DIRECTORY = x86 ? 0o200000 : 0o40000;

/** CLONE_NEWNET of <sched.h>: the network namespace, to setns(2). */
export const CLONE_NEWNET = 0x40000000;

/** The descriptor number of a file in another process: a name for it there, never one of ours. */
export type ForeignFd = number & { readonly foreign: unique symbol };

/** An open descriptor of this process. Whoever opened it closes it; closing twice does nothing. */
export class Descriptor {
  #number: number;

  constructor(number: number) {
    this.#number = number;
  }

  /** The number that system calls take; −1 once it is closed, which every call answers with EBADF. */
  get number(): number {
    return this.#number;
  }

  close(): void {
    if (this.#number === -1) return;
    const { close } = closing();
    begin();
    close(this.#number);
    end();
    this.#number = -1;
  }

  /** As `close`, by another thread, for which nothing waits. */
  closeElsewhere(): void {
    closeElsewhere(this.#number);
    this.#number = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const WORKING_DIRECTORY = new Descriptor(AT_FDCWD);

/** The result of a call, unless it is −1: that is thrown as the SyscallError that errno says it is. */
export function check(syscall: string, result: number): number {
  // The argument comes before the allocation: errno must be read before anything is allocated.
  if (result === -1) throw new SyscallError(syscall, errno());
  return result;
}

/** What futex(2) leaves in errno: the runtime's garbage collector may wait for its helpers before errno is read. */
const NOT_ITS_OWN = [EINTR, EAGAIN, ETIMEDOUT];
/** Who insists, a seccomp filter say, is to be heard. */
const ATTEMPTS = 10;

/**
 * The result of a call that does not fail with EINTR, EAGAIN or ETIMEDOUT itself, and changes nothing when it fails; or the
 * negative errno with which it failed. Where that has become one of these, it is made again.
 */
export function outcomeOf(call: () => number): number {
  for (let attempt = 1;; attempt++) {
    begin();
    const result = call();
    end();
    if (result !== -1) return result;
    const code = errno();
    if (!NOT_ITS_OWN.includes(code) || attempt === ATTEMPTS) return -code;
  }
}

/** As `check`, of such a call. */
export function checkCall(syscall: string, call: () => number): number {
  const result = outcomeOf(call);
  if (result < 0) throw new SyscallError(syscall, -result);
  return result;
}

const encoder = new TextEncoder();

/** `text` as a C string. @throws {TypeError} For a NUL in it, behind which C would not read. */
export function cString(text: string): Uint8Array {
  if (text.includes("\0")) throw new TypeError(`NUL in "${text}"`);
  return encoder.encode(text + "\0");
}

/** socket(2), with SOCK_CLOEXEC. */
export function socket(domain: number, type: number, protocol: number): Descriptor {
  return new Descriptor(check("socket", reading().socket(domain, type | SOCK_CLOEXEC, protocol)));
}

/** send(2) to the connected or default peer. Returns the bytes sent. */
export function send(socket: Descriptor, bytes: Uint8Array, flags = 0): number {
  const { sendto } = reading();
  const length = BigInt(bytes.length);
  for (;;) {
    begin();
    const sent = sendto(socket.number, bytes, length, flags, null, 0);
    end();
    if (sent === -1 && errno() === EINTR) continue;
    return check("sendto", sent);
  }
}

/** recv(2), repeated when a signal interrupts it. Returns the bytes received. */
export function recv(socket: Descriptor, buffer: Uint8Array, flags: number): number {
  const { recv } = reading();
  const length = BigInt(buffer.length);
  for (;;) {
    begin();
    const received = recv(socket.number, buffer, length, flags);
    end();
    if (received === -1 && errno() === EINTR) continue;
    return check("recv", received);
  }
}

const int = new Int32Array(1);
const optlen = new Int32Array(1);

/** setsockopt(2) of an option whose value is bytes. */
export function setsockoptBytes(socket: Descriptor, level: number, option: number, value: Uint8Array): void {
  checkCall("setsockopt", () => reading().setsockopt(socket.number, level, option, value, value.length));
}

/** setsockopt(2) of an option whose value is an int. */
export function setsockopt(socket: Descriptor, level: number, option: number, value: number): void {
  int[0] = value;
  checkCall("setsockopt", () => reading().setsockopt(socket.number, level, option, int, 4));
}

/** getsockopt(2) of an option whose value is bytes: fills `value` and returns the length that the kernel wrote. */
export function getsockoptBytes(socket: Descriptor, level: number, option: number, value: Uint8Array): number {
  optlen[0] = value.length;
  checkCall("getsockopt", () => acting().getsockopt(socket.number, level, option, value, optlen));
  return optlen[0];
}

/** getsockopt(2) of an option whose value is an int. */
export function getsockopt(socket: Descriptor, level: number, option: number): number {
  int[0] = 0;
  optlen[0] = 4;
  checkCall("getsockopt", () => acting().getsockopt(socket.number, level, option, int, optlen));
  return int[0];
}

const cookie = new Int32Array(2);

/**
 * SO_COOKIE of socket(7): the number that a socket keeps for its life and no other socket has had since boot. Calls `use`
 * with its lower and its upper 32 bits.
 */
export function socketCookie<T>(socket: Descriptor, use: (low: number, high: number) => T): T {
  optlen[0] = 8;
  checkCall("getsockopt", () => acting().getsockopt(socket.number, SOL_SOCKET, SO_COOKIE, cookie, optlen));
  return use(cookie[0] >>> 0, cookie[1] >>> 0);
}

/** getpeername(2): the peer's `struct sockaddr`. */
export function getpeername(socket: Descriptor): Uint8Array {
  const address = new Uint8Array(128);
  optlen[0] = address.length;
  checkCall("getpeername", () => acting().getpeername(socket.number, address, optlen));
  return address.subarray(0, optlen[0]);
}

/** shutdown(2). */
export function shutdown(socket: Descriptor, how: number): void {
  checkCall("shutdown", () => acting().shutdown(socket.number, how));
}

/** connect(2) to a `struct sockaddr`. */
export function connect(socket: Descriptor, address: Uint8Array): void {
  const { connect } = acting();
  begin();
  const result = connect(socket.number, address, address.length);
  end();
  check("connect", result);
}

/** bind(2) to a `struct sockaddr`. */
export function bind(socket: Descriptor, address: Uint8Array): void {
  check("bind", serving().bind(socket.number, address, address.length));
}

/** listen(2). */
export function listen(socket: Descriptor, backlog: number): void {
  check("listen", serving().listen(socket.number, backlog));
}

/** getsockname(2): the socket's own `struct sockaddr`. */
export function getsockname(socket: Descriptor): Uint8Array {
  const address = new Uint8Array(128);
  optlen[0] = address.length;
  checkCall("getsockname", () => acting().getsockname(socket.number, address, optlen));
  return address.subarray(0, optlen[0]);
}

/** accept4(2), with SOCK_CLOEXEC. */
export function accept(socket: Descriptor): Descriptor {
  return new Descriptor(check("accept4", serving().accept4(socket.number, null, null, SOCK_CLOEXEC)));
}

/** O_EXCL to pidfd_open(2): the task itself, not the process that it leads. Linux ≥ 6.9. */
const PIDFD_THREAD = 0o200;

/**
 * pidfd_open(2): a descriptor that refers to the process, or to the single thread, and to no later one with its
 * number. Linux ≥ 5.3.
 *
 * @throws {SyscallError} `ESRCH` when it has gone, `EINVAL` for a thread before Linux 6.9.
 */
export function pidfdOpen(task: number, isThread = false): Descriptor {
  const flags = isThread ? PIDFD_THREAD : 0;
  return new Descriptor(checkCall("pidfd_open", () => naming().pidfd_open(SYS_pidfd_open, task, flags)));
}

/**
 * pidfd_getfd(2): a duplicate of a descriptor that another process holds. Linux ≥ 5.6. It asks for
 * PTRACE_MODE_ATTACH_REALCREDS: the same user and a dumpable process, or CAP_SYS_PTRACE.
 */
export function pidfdGetfd(pidfd: Descriptor, fd: ForeignFd): Descriptor {
  return new Descriptor(checkCall("pidfd_getfd", () => acting().pidfd_getfd(SYS_pidfd_getfd, pidfd.number, fd, 0)));
}

/** Notes what a call is about. @throws {SyscallError} `EACCES` for a process that has been found not to answer. */
function approach(syscall: string, path: string): void {
  if (isUnresponsive(aboutPath(path))) throw new SyscallError(syscall, EACCES);
}

/** openat(2), read-only. `directory` null means that `path` is absolute. */
export function open(directory: Descriptor | null, path: string, flags = 0): Descriptor {
  if (directory === null) approach("openat", path);
  const base = directory === null ? AT_FDCWD : directory.number;
  const name = cString(path);
  return new Descriptor(checkCall("openat", () => reading().openat(base, name, O_RDONLY | O_CLOEXEC | flags)));
}

/** read(2). Returns the bytes read, 0 at the end. */
export function read(file: Descriptor, buffer: Uint8Array): number {
  const { read } = reading();
  const length = BigInt(buffer.length);
  for (;;) {
    begin();
    const count = read(file.number, buffer, length);
    end();
    if (count === -1 && errno() === EINTR) continue;
    return check("read", count);
  }
}

/** write(2). Returns the bytes written. */
export function write(file: Descriptor, bytes: Uint8Array): number {
  return check("write", writing().write(file.number, bytes, BigInt(bytes.length)));
}

/** getdents64(2): fills `buffer` with `struct linux_dirent64` entries. Returns their bytes, 0 at the end. */
export function getdents64(directory: Descriptor, buffer: Uint8Array): number {
  const size = BigInt(buffer.length);
  return checkCall("getdents64", () => reading().getdents64(SYS_getdents64, directory.number, buffer, size));
}

/**
 * readlinkat(2) of `path`, a C string (its NUL included). Returns the target's length, or 0 when there is no such
 * link: in /proc one may vanish at any moment, and that is no error.
 */
export function readlinkat(directory: Descriptor, path: Uint8Array, buffer: Uint8Array, size: bigint): number {
  const length = outcomeOf(() => reading().readlinkat(directory.number, path, buffer, size));
  if (length >= 0) return length;
  if (length !== -ENOENT && length !== -ESRCH) throw new SyscallError("readlinkat", -length);
  return 0;
}

/** The same of a path that is absolute. */
export function readlink(path: string, buffer: Uint8Array): number {
  approach("readlinkat", path);
  return readlinkat(WORKING_DIRECTORY, cString(path), buffer, BigInt(buffer.length));
}

const AT_EMPTY_PATH = 0x1000;
const STATX_TYPE_AND_MODE = 0x3;
const STATX_NLINK = 0x4;
const STATX_UID = 0x8;
const STATX_INO = 0x100;
const STATX_SIZE = 0x200;
const statxBuffer = new Uint8Array(256);
const statxView = new DataView(statxBuffer.buffer);

/** What statx(2) says of a file: its inode number, its device, its type and permissions, its owner, its size in bytes. */
export interface FileStatus {
  readonly ino: number;
  /** How many hard links it has. */
  readonly nlink: number;
  /** The file system that it is in, by its device number: major, then minor, as in `0:4`. */
  readonly dev: string;
  readonly mode: number;
  readonly uid: number;
  readonly size: number;
}

/** statx(2) of an open file (`path` empty), or of a path, which may be a link, below it. */
export function statx(directory: Descriptor | null, path = ""): FileStatus {
  if (directory === null) approach("statx", path);
  const base = directory === null ? AT_FDCWD : directory.number;
  const mask = STATX_TYPE_AND_MODE | STATX_NLINK | STATX_INO | STATX_UID | STATX_SIZE;
  const [name, flags] = [cString(path), path === "" ? AT_EMPTY_PATH : 0];
  checkCall("statx", () => examining().statx(base, name, flags, mask, statxBuffer));
  return {
    ino: Number(statxView.getBigUint64(32, true)),
    nlink: statxView.getUint32(16, true),
    dev: `${statxView.getUint32(136, true)}:${statxView.getUint32(140, true)}`,
    mode: statxView.getUint16(28, true),
    uid: statxView.getUint32(20, true),
    size: Number(statxView.getBigUint64(40, true)),
  };
}

/** geteuid(2). */
export function geteuid(): number {
  return reading().geteuid();
}

/** setns(2): moves the calling thread, and it alone, into the namespace that `namespace` refers to. */
export function setns(namespace: Descriptor, type: number): void {
  checkCall("setns", () => namespacing().setns(namespace.number, type));
}

const KCMP_FILES = 2;

/** kcmp(2) with KCMP_FILES: whether two tasks share one table of descriptors. Needs CONFIG_KCMP. */
export function shareDescriptors(pid: number, other: number): boolean {
  aboutProcess(pid);
  if (isUnresponsive(pid)) throw new SyscallError("kcmp", EACCES);
  return checkCall("kcmp", () => comparing().kcmp(SYS_kcmp, pid, other, KCMP_FILES, 0n, 0n)) === 0;
}

/** if_nametoindex(3): the index of a network interface, 0 when there is none of that name. */
export function ifNameToIndex(name: string): number {
  return resolving().if_nametoindex(cString(name));
}

/** <netdb.h>: what getaddrinfo(3) returns, from −1 downwards. */
const EAI = "BADFLAGS NONAME AGAIN FAIL NODATA FAMILY SOCKTYPE SERVICE ADDRFAMILY MEMORY SYSTEM OVERFLOW".split(" ");

/** A lookup that getaddrinfo(3) could not answer. */
export class LookupError extends Error {
  override readonly name = "LookupError";
  /** The error's symbolic name: `EAI_AGAIN`. */
  readonly code: string;

  constructor(number: number) {
    const code = `EAI_${EAI[-number - 1] ?? number}`;
    super(`getaddrinfo: ${code}`);
    this.code = code;
  }
}

const ADDRINFO_SIZE = 48;

/**
 * getaddrinfo(3) for stream sockets: every `struct sockaddr` that the host's resolver (/etc/hosts, DNS, whatever
 * nsswitch.conf says) gives for a node, a service, or both.
 *
 * @throws {LookupError} When there is no such name, or it cannot be looked up now.
 */
export function getaddrinfo(node: string | null, service: string | null): Uint8Array[] {
  const { getaddrinfo, freeaddrinfo, memcpy } = resolving();
  // struct addrinfo {int flags, family, socktype, protocol; u32 addrlen; void *addr; char *name; addrinfo *next}
  const hints = new Uint8Array(ADDRINFO_SIZE);
  new DataView(hints.buffer).setInt32(8, SOCK_STREAM, true);
  const result = new BigUint64Array(1);
  const code = getaddrinfo(
    node === null ? null : cString(node),
    service === null ? null : cString(service),
    hints,
    result,
  );
  if (code !== 0) throw new LookupError(code);
  const addresses: Uint8Array[] = [];
  const entry = new Uint8Array(ADDRINFO_SIZE);
  const view = new DataView(entry.buffer);
  try {
    for (let next = result[0]; next !== 0n; next = view.getBigUint64(40, true)) {
      memcpy(entry, next, BigInt(ADDRINFO_SIZE));
      const address = new Uint8Array(view.getUint32(16, true));
      memcpy(address, view.getBigUint64(24, true), BigInt(address.length));
      addresses.push(address);
    }
  } finally {
    freeaddrinfo(result[0]);
  }
  return addresses;
}
