// A duplicate of a descriptor that another process holds (pidfd_getfd), proved to be the socket that was listed.

import {
  connect,
  getsockoptBytes,
  IPPROTO_TCP,
  receiveQueue,
  sendQueue,
  setsockopt,
  setsockoptBytes,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  shutdown,
  SO_LINGER,
  SOL_SOCKET,
  TCP_USER_TIMEOUT,
} from "../../ffi/socket.ts";
import { ETIMEDOUT, isSyscallError, SyscallError } from "../../ffi/errno.ts";
import { pidfdGetfd, pidfdOpen } from "../../ffi/pidfd.ts";
import type { Descriptor, ForeignFd } from "../../ffi/descriptor.ts";
import { isUnresponsive, noteProcess } from "../../ffi/progress.ts";
import { type Connection, handleOf, type Owner } from "../model/connection.ts";
import { decodeMptcpInfo, decodeTcpInfo, idleTime, TCP_INFO } from "../linux/netlink/tcp_info.ts";
import { type Proof, prove, type StateLookup } from "./proof.ts";
import { explainBusy, hasCarriedData, type Traffic } from "./traffic.ts";

/** How many processes are kept open: each takes a descriptor, of which there may be no more than 1024. */
const MAX_PROCESSES = 256;

/** The processes whose descriptors are being duplicated: each is opened once, not for each of its descriptors. */
export class PidfdCache {
  readonly #pidfds = new Map<number, Descriptor>();
  readonly #lookUp: StateLookup;

  constructor(lookUp: StateLookup) {
    this.#lookUp = lookUp;
  }

  /**
   * Duplicates the owner's descriptor.
   *
   * @returns `ended` when the connection has ended; null when the descriptor is no longer the connection's: it was closed,
   * or its number was used again.
   * @throws {SyscallError} `EPERM` when this user may not open it, `ENOSYS` where pidfd_getfd(2) is missing or a
   * seccomp filter hides it, `EMFILE` when this process has no descriptor left, `ETIMEDOUT` for a process or a connection
   * that has been found not to answer.
   */
  duplicate(connection: Connection, owner: Omit<Owner, "comm">): Duplicate | "ended" | null {
    if (isUnresponsive(owner.pid) || isUnresponsive(handleOf(connection))) {
      throw new SyscallError("pidfd_getfd", ETIMEDOUT);
    }
    noteProcess(owner.pid);
    const descriptor = this.#getfd(owner);
    if (descriptor === null) return null;
    let proof: Proof = "other";
    try {
      proof = prove(descriptor, connection, this.#lookUp);
    } finally {
      if (proof !== "connection") descriptor.close();
    }
    if (proof === "connection") return new Duplicate(descriptor, connection.protocol);
    return proof === "ended" ? proof : null;
  }

  #getfd({ pid, tid, fd }: Omit<Owner, "comm">): Descriptor | null {
    const task = tid ?? pid;
    try {
      return pidfdGetfd(this.#pidfd(task, tid !== undefined), fd as ForeignFd);
    } catch (error) {
      if (isSyscallError(error, "EBADF")) return null;
      if (!isSyscallError(error, "ESRCH")) throw error;
      // It has gone; what has its number when it is looked for again is another one.
      this.#pidfds.get(task)?.close();
      this.#pidfds.delete(task);
      return null;
    }
  }

  #pidfd(task: number, isThread: boolean): Descriptor {
    let pidfd = this.#pidfds.get(task);
    if (pidfd === undefined) {
      if (this.#pidfds.size >= MAX_PROCESSES) this.close();
      this.#pidfds.set(task, pidfd = pidfdOpen(task, isThread));
    }
    return pidfd;
  }

  /** Closes the processes. They are opened again when they are needed again. */
  close(): void {
    for (const pidfd of this.#pidfds.values()) pidfd.close();
    this.#pidfds.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** `struct sockaddr` with AF_UNSPEC: connect(2) to it dissolves the association, which for TCP is an abort. */
const UNSPEC = new Uint8Array(16);

/** How to hang up. */
export interface ShutdownOptions {
  /** TCP_USER_TIMEOUT in milliseconds, which bounds how long a silent peer can keep the connection; 0 for the socket's. */
  readonly linger_ms: number;
  /** Shut down sending alone, so that the application can read until the peer has ended too. */
  readonly fin_only?: boolean;
}

/** The FIN is on its way. */
export interface ShutdownResult {
  /** What failed after that, null for nothing. */
  readonly trouble: SyscallError | null;
}

/** `struct linger`: {int onoff, int seconds}. */
const linger = new Uint8Array(8);
const NO_LINGER = new Uint8Array(8);

/** `struct tcp_info` and `struct mptcp_info`, with room for what kernels to come will add. */
const info = new Uint8Array(512);

const SOL_MPTCP = 284;
const MPTCP_INFO = 1;

/** A verified duplicate. It keeps the socket, and so its identity, until it is closed. */
export class Duplicate {
  readonly descriptor: Descriptor;
  readonly #protocol: "tcp" | "mptcp";
  #isHungUp = false;

  constructor(descriptor: Descriptor, protocol: "tcp" | "mptcp") {
    this.descriptor = descriptor;
    this.#protocol = protocol;
  }

  /**
   * shutdown(2). The application reads what has arrived, then end-of-file; the peer gets what was written, then a FIN.
   *
   * @returns `already-gone` when the connection had already ended.
   * @throws {SyscallError} `EBUSY` on Linux 6.1.32 to 6.5 for a connect that another thread waits for.
   */
  hangUp({ linger_ms, fin_only }: ShutdownOptions): ShutdownResult | "already-gone" {
    if (!this.#shutdown(fin_only ? SHUT_WR : SHUT_RDWR)) return "already-gone";
    return this.#afterFin(() => this.#setUserTimeout(linger_ms));
  }

  /**
   * The same, if the connection carries nothing and has carried nothing for `idle_ms`. Some microseconds lie between
   * looking and shutting down, in which the application may still send a request. So sending is shut down first, after
   * which nothing more can slip in; and receiving only when nothing did, so that a request that did is answered.
   *
   * @returns As `hangUp`, or what the connection is busy with.
   */
  hangUpIfIdle(
    idle_ms: number,
    { linger_ms, fin_only }: ShutdownOptions,
  ): ShutdownResult | "already-gone" | { readonly busy: string } {
    const before = this.#traffic();
    const busy = explainBusy(before, idle_ms);
    if (busy !== null) return { busy };
    if (!this.#shutdown(SHUT_WR)) return "already-gone";
    const shutReceiving = () => {
      if (!fin_only && !hasCarriedData(before, this.#traffic())) this.#shutdown(SHUT_RD);
    };
    return this.#afterFin(shutReceiving, () => this.#setUserTimeout(linger_ms));
  }

  /** Takes all of these steps, and tells which failure was the first. */
  #afterFin(...steps: readonly (() => void)[]): ShutdownResult {
    this.#isHungUp = true;
    let trouble: SyscallError | null = null;
    for (const step of steps) {
      try {
        step();
      } catch (error) {
        if (!isSyscallError(error)) throw error;
        trouble ??= error;
      }
    }
    return { trouble };
  }

  /** What is under way. When data last went is asked last: it tells what came after the queues were looked at. */
  #traffic(): Traffic {
    const rqueue = receiveQueue(this.descriptor);
    const wqueue = sendQueue(this.descriptor);
    return { rqueue, wqueue, idle_ms: this.#idle_ms() };
  }

  #idle_ms(): number | null {
    const [level, option] = this.#protocol === "tcp" ? [IPPROTO_TCP, TCP_INFO] : [SOL_MPTCP, MPTCP_INFO];
    const length = getsockoptBytes(this.descriptor, level, option, info);
    const view = new DataView(info.buffer, 0, length);
    const decoded = this.#protocol === "tcp" ? decodeTcpInfo(view) : decodeMptcpInfo(view);
    return decoded && idleTime(decoded);
  }

  #shutdown(how: number): boolean {
    try {
      shutdown(this.descriptor, how);
      return true;
    } catch (error) {
      if (isSyscallError(error, "ENOTCONN")) return false;
      throw error;
    }
  }

  /**
   * TCP_USER_TIMEOUT. Set before shutdown(2), a connection would keep it when that fails, or when this process is killed in
   * between. The timer of the FIN looks at it when it fires, which is milliseconds after the FIN at the soonest.
   */
  #setUserTimeout(ms: number): void {
    if (ms === 0) return;
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

  /**
   * close(2). Where the application has closed its own descriptor meanwhile, and SO_LINGER is set, that waits until the peer
   * has acknowledged everything. What is hung up on needs SO_LINGER no longer; for anything else another thread waits.
   */
  close(): void {
    if (this.#lingers && !(this.#isHungUp && this.#clearLinger())) this.descriptor.closeInBackground();
    else this.descriptor.close();
  }

  get #lingers(): boolean {
    getsockoptBytes(this.descriptor, SOL_SOCKET, SO_LINGER, linger);
    const [on, seconds] = new Int32Array(linger.buffer);
    return on !== 0 && seconds > 0;
  }

  #clearLinger(): boolean {
    try {
      setsockoptBytes(this.descriptor, SOL_SOCKET, SO_LINGER, NO_LINGER);
      return true;
    } catch (error) {
      if (isSyscallError(error)) return false;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
