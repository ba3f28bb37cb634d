// Mirrors <asm-generic/errno-base.h> and <asm-generic/errno.h>, which x86-64 and aarch64 share.

const NAMES =
  "0 EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST " +
  "EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM " +
  "ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP 41 ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG " +
  "EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT 58 EBFONT ENOSTR ENODATA ETIME ENOSR ENONET " +
  "ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG " +
  "ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE " +
  "EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE " +
  "EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN " +
  "ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL " +
  "EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD " +
  "ENOTRECOVERABLE ERFKILL EHWPOISON";

export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EAGAIN = 11;
export const EACCES = 13;
export const EFBIG = 27;
export const ENOBUFS = 105;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;

const names: readonly string[] = NAMES.split(" ");

/** Returns the symbolic name of an errno, such as `EPERM` for 1; `errno 200` for a number that errno(3) does not list. */
export function errnoName(errno: number): string {
  const name = names[errno];
  return name?.startsWith("E") ? name : `errno ${errno}`;
}

/** A system call that failed. `code` is the errno's name, and what callers compare. */
export class SyscallError extends Error {
  /** Always `SyscallError`. */
  override readonly name = "SyscallError";
  /** The function that failed, as its man page spells it: `pidfd_getfd`. */
  readonly syscall: string;
  /** The positive errno. */
  readonly errno: number;
  /** The errno's symbolic name: `EPERM`. */
  readonly code: string;

  /**
   * A failure of a function, with its errno.
   *
   * @param syscall The function that failed.
   * @param errno The positive errno.
   */
  constructor(syscall: string, errno: number) {
    const code = errnoName(errno);
    super(`${syscall}: ${code}`);
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
  }
}

/** Returns whether `error` is a SyscallError, with one of `codes` when codes are given. */
export function isSyscallError(error: unknown, ...codes: string[]): error is SyscallError {
  return error instanceof SyscallError && (codes.length === 0 || codes.includes(error.code));
}

/** Returns the result of `call`, or `fallback` when it fails with a SyscallError, with one of `codes` when codes are given. */
export function withFallback<T, F>(fallback: F, call: () => T, ...codes: string[]): T | F {
  try {
    return call();
  } catch (error) {
    if (isSyscallError(error, ...codes)) return fallback;
    throw error;
  }
}

/** Makes a call. Returns `false` when it fails with a SyscallError, with one of `codes` when codes are given. */
export function attempt(call: () => unknown, ...codes: string[]): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (isSyscallError(error, ...codes)) return false;
    throw error;
  }
}
