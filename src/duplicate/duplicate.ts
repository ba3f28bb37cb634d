// A duplicate of a descriptor that another process holds (pidfd_getfd), proved to be the socket that was listed.

import {
  AF_INET,
  AF_INET6,
  connect,
  type Descriptor,
  type ForeignFd,
  getpeername,
  getsockname,
  getsockopt,
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  isSyscallError,
  pidfdGetfd,
  pidfdOpen,
  setsockopt,
  SHUT_RDWR,
  shutdown,
  SO_DOMAIN,
  SO_PROTOCOL,
  socketCookie,
  SOL_SOCKET,
  statx,
  TCP_USER_TIMEOUT,
} from "../../ffi/libc.ts";
import type { Connection, Endpoint, Owner } from "../connection.ts";
import { formatCookie } from "../netlink/inet_diag.ts";
import { decodeSockaddr } from "../netlink/sockaddr.ts";

/** The processes whose descriptors are being duplicated: each is opened once. */
export class Processes {
  readonly #pidfds = new Map<number, Descriptor>();

  /**
   * Duplicates the owner's descriptor. Returns null when it is no longer the connection's: it was closed, or its number
   * was used again.
   *
   * @throws {SyscallError} `EPERM` when this user may not open it, `ENOSYS` where pidfd_getfd(2) is missing or a
   * seccomp filter hides it, `EMFILE` when this process has no descriptor left.
   */
  duplicate(connection: Connection, owner: Owner): Duplicate | null {
    try {
      const descriptor = pidfdGetfd(
        this.#pidfd(owner.tid ?? owner.pid, owner.tid !== undefined),
        owner.fd as ForeignFd,
      );
      const same = isConnection(descriptor, connection);
      if (same) return new Duplicate(descriptor, connection.protocol);
      descriptor.close();
      return null;
    } catch (error) {
      if (isSyscallError(error, "ESRCH", "EBADF")) return null;
      throw error;
    }
  }

  #pidfd(task: number, isThread: boolean): Descriptor {
    let pidfd = this.#pidfds.get(task);
    if (pidfd === undefined) this.#pidfds.set(task, pidfd = pidfdOpen(task, isThread));
    return pidfd;
  }

  close(): void {
    for (const pidfd of this.#pidfds.values()) pidfd.close();
    this.#pidfds.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Whether the descriptor is the listed socket. For TCP the cookie says so. An MPTCP connection may show its listener's
 * cookie, so there it is the protocol, the inode and both ends; the duplicate keeps all of them from changing.
 */
function isConnection(descriptor: Descriptor, connection: Connection): boolean {
  try {
    if (connection.protocol === "tcp") return formatCookie(...socketCookie(descriptor)) === connection.cookie;
    if (!isProtocol(descriptor, IPPROTO_MPTCP) || statx(descriptor).ino !== connection.inode) return false;
    return isEnd(getsockname(descriptor), connection.src) &&
      (connection.state === "LISTEN" || isEnd(getpeername(descriptor), connection.dst));
  } catch (error) {
    // Not a socket, or one that has no peer any more.
    if (isSyscallError(error, "ENOTSOCK", "ENOTCONN", "EINVAL", "EOPNOTSUPP")) return false;
    throw error;
  }
}

function isEnd(sockaddr: Uint8Array, { address, port }: Endpoint): boolean {
  const end = decodeSockaddr(sockaddr);
  return end.address === address && end.port === port;
}

function isProtocol(descriptor: Descriptor, protocol: number): boolean {
  const domain = getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN);
  return (domain === AF_INET || domain === AF_INET6) && getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL) === protocol;
}

/** `struct sockaddr` with AF_UNSPEC: connect(2) to it dissolves the association, which for TCP is an abort. */
const UNSPEC = new Uint8Array(16);

/** A verified duplicate. It keeps the socket, and so its identity, until it is closed. */
export class Duplicate {
  readonly descriptor: Descriptor;
  readonly #protocol: "tcp" | "mptcp";

  constructor(descriptor: Descriptor, protocol: "tcp" | "mptcp") {
    this.descriptor = descriptor;
    this.#protocol = protocol;
  }

  /**
   * shutdown(2), both ways. The application reads what has arrived, then end-of-file; the peer gets what was written,
   * then a FIN. Unless `linger_ms` is 0, TCP_USER_TIMEOUT bounds how long a silent peer can keep the connection.
   *
   * @returns `false` when the connection had already ended.
   * @throws {SyscallError} `EBUSY` on Linux 6.1.32 to 6.5 for a connect that another thread waits for.
   */
  hangUp(linger_ms: number): boolean {
    if (linger_ms > 0) this.#setUserTimeout(linger_ms);
    try {
      shutdown(this.descriptor, SHUT_RDWR);
      return true;
    } catch (error) {
      if (isSyscallError(error, "ENOTCONN")) return false;
      throw error;
    }
  }

  #setUserTimeout(ms: number): void {
    try {
      setsockopt(this.descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, ms);
    } catch (error) {
      // MPTCP has no such option; its connections end by net.mptcp.close_timeout.
      if (this.#protocol !== "mptcp" || !isSyscallError(error, "ENOPROTOOPT", "EOPNOTSUPP")) throw error;
    }
  }

  /**
   * Aborts: the peer gets a RST, the application ECONNRESET. Unlike SOCK_DESTROY it needs neither CAP_NET_ADMIN nor
   * CONFIG_INET_DIAG_DESTROY, and it works on MPTCP; but what had arrived and was not read is lost.
   *
   * @throws {SyscallError} `EOPNOTSUPP` for kernel TLS, `EBUSY` on Linux 6.1.32 to 6.5 while a thread waits on it.
   */
  abort(): void {
    connect(this.descriptor, UNSPEC);
  }

  close(): void {
    this.descriptor.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
