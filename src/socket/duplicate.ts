// A duplicate of a descriptor that another process holds (pidfd_getfd), proved to be the socket that was listed.

import {
  connect,
  getsockopt,
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
  SO_ERROR,
  SO_LINGER,
  SOL_SOCKET,
  TCP_USER_TIMEOUT,
} from "../../ffi/socket.ts";
import { ETIMEDOUT, isSyscallError, SyscallError } from "../../ffi/errno.ts";
import { pidfdGetfd, pidfdOpen } from "../../ffi/pidfd.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { isUnresponsive, noteProcess } from "../../ffi/progress.ts";
import { type Connection, handleOf, type Owner } from "../model/connection.ts";
import { decodeMptcpInfo, decodeTcpInfo, idleTime, TCP_INFO } from "../linux/netlink/tcp_info.ts";
import { STATES } from "../model/tcp_states.ts";
import { type Proof, prove, type StateLookup } from "./proof.ts";
import { explainBusy, hasCarriedData, type Traffic } from "./traffic.ts";

/** The most pidfds that are kept open. RLIMIT_NOFILE is often 1024. */
const MAX_PROCESSES = 256;

/** Pidfds of the processes whose descriptors are duplicated. A process is opened once for all of its descriptors. */
export class PidfdCache {
  readonly #pidfds = new Map<number, Descriptor>();
  readonly #lookUp: StateLookup;

  constructor(lookUp: StateLookup) {
    this.#lookUp = lookUp;
  }

  /**
   * Duplicates the owner's descriptor, and proves that it is the connection.
   *
   * @returns `ended` when the connection has ended; null when the descriptor was closed, or its number is another file's by
   * now.
   * @throws {SyscallError} `EPERM` when this user may not open it, `ENOSYS` where pidfd_getfd(2) is missing or a seccomp
   * filter hides it, `EMFILE` when this process has no descriptor left, `ETIMEDOUT` for a process or a connection that is
   * known not to answer.
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

  #getfd(owner: Omit<Owner, "comm">): Descriptor | null {
    const { pid, tid, fd } = owner;
    const task = tid ?? pid;
    try {
      return pidfdGetfd(this.#pidfd(task, tid !== undefined), fd);
    } catch (error) {
      if (isSyscallError(error, "EMFILE", "ENFILE") && this.#pidfds.size > 1) {
        this.close();
        return this.#getfd(owner);
      }
      if (isSyscallError(error, "EBADF")) return null;
      if (!isSyscallError(error, "ESRCH")) throw error;
      // The process has gone. A process with the same number is another one.
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

  /** Closes the pidfds. They are opened again when they are needed. */
  close(): void {
    for (const pidfd of this.#pidfds.values()) pidfd.close();
    this.#pidfds.clear();
  }
}

/** `struct sockaddr` with AF_UNSPEC: connect(2) to it dissolves the association, which for TCP is an abort. */
const UNSPEC = new Uint8Array(16);

/** Options of a shutdown. */
export interface ShutdownOptions {
  /** TCP_USER_TIMEOUT in milliseconds, which bounds how long a silent peer can keep the connection; 0 for the socket's. */
  readonly lingerMs: number;
  /** Shut down sending alone, so that the application can read until the peer has ended too. */
  readonly finOnly?: boolean;
}

/** The result of a shutdown(2) that sent a FIN. */
export interface ShutdownResult {
  /** The first failure after the shutdown, null for none. */
  readonly trouble: SyscallError | null;
}

/** `struct linger`: {int onoff, int seconds}. */
const linger = new Int32Array(2);
const lingerBytes = new Uint8Array(linger.buffer);
const NO_LINGER = new Uint8Array(8);

/** `struct tcp_info` and `struct mptcp_info`, with room for the fields of later kernels. */
const info = new Uint8Array(512);

const SOL_MPTCP = 284;
const MPTCP_INFO = 1;

/** A verified duplicate. The socket, and so its identity, lives until the duplicate is closed. */
export class Duplicate {
  readonly descriptor: Descriptor;
  readonly #protocol: "tcp" | "mptcp";
  #isHungUp = false;

  constructor(descriptor: Descriptor, protocol: "tcp" | "mptcp") {
    this.descriptor = descriptor;
    this.#protocol = protocol;
  }

  /**
   * Calls shutdown(2). The application reads the data that has arrived, then end-of-file. The peer gets the data that was
   * written, then a FIN.
   *
   * @returns `already-gone` when the connection had already ended.
   * @throws {SyscallError} `EBUSY` on Linux 6.1.32 to 6.5 for a connect that another thread waits for.
   */
  hangUp({ lingerMs, finOnly }: ShutdownOptions): ShutdownResult | "already-gone" {
    if (!this.#shutdown(finOnly ? SHUT_WR : SHUT_RDWR)) return "already-gone";
    return this.#afterFin(() => this.#setUserTimeout(lingerMs));
  }

  /**
   * Calls shutdown(2) if the connection carries nothing and has carried nothing for `idleMs`. The application may send a
   * request in the microseconds between the check and the shutdown. So sending is shut down first, after which no request
   * can follow. Receiving is shut down only when no request has slipped through, so that the answer to one still arrives.
   *
   * @returns As `hangUp`, or what the connection is busy with.
   */
  hangUpIfIdle(
    idleMs: number,
    { lingerMs, finOnly }: ShutdownOptions,
  ): ShutdownResult | "already-gone" | { readonly busy: string } {
    const before = this.#traffic();
    const busy = explainBusy(before, idleMs);
    if (busy !== null) return { busy };
    if (!this.#shutdown(SHUT_WR)) return "already-gone";
    const shutReceiving = () => {
      if (!finOnly && !hasCarriedData(before, this.#traffic())) this.#shutdown(SHUT_RD);
    };
    return this.#afterFin(shutReceiving, () => this.#setUserTimeout(lingerMs));
  }

  /** Runs all steps, and returns the first failure. */
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

  /** Reads the traffic. The idle time is read last, so that it shows data that came after the queues were read. */
  #traffic(): Traffic {
    const rqueue = receiveQueue(this.descriptor);
    const wqueue = sendQueue(this.descriptor);
    return { rqueue, wqueue, idleMs: this.#idleMs() };
  }

  #idleMs(): number | null {
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
   * Sets TCP_USER_TIMEOUT after shutdown(2). If it were set before, the connection would keep it when shutdown(2) fails or
   * this process is killed in between. The FIN's timer reads it when it fires, milliseconds after the FIN at the soonest.
   */
  #setUserTimeout(ms: number): void {
    if (ms === 0) return;
    try {
      setsockopt(this.descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, ms);
    } catch (error) {
      // MPTCP lacks the option. Its connections end by net.mptcp.close_timeout.
      if (this.#protocol !== "mptcp" || !isSyscallError(error, "ENOPROTOOPT", "EOPNOTSUPP")) throw error;
    }
  }

  /**
   * Aborts the connection: the peer gets a RST, the application ECONNRESET. Unlike SOCK_DESTROY this needs neither
   * CAP_NET_ADMIN nor CONFIG_INET_DIAG_DESTROY, and it works on MPTCP. Data that has arrived and was not read is lost.
   *
   * @throws {SyscallError} `EOPNOTSUPP` for kernel TLS, `EBUSY` on Linux 6.1.32 to 6.5 while a thread waits on it.
   */
  abort(): void {
    connect(this.descriptor, UNSPEC);
  }

  /**
   * Takes the error away that a connection has left when it ended, so that its application reads what is behind the error.
   *
   * @returns `false` when the connection has not ended yet.
   */
  takeError(): boolean {
    const length = getsockoptBytes(this.descriptor, IPPROTO_TCP, TCP_INFO, info);
    if (decodeTcpInfo(new DataView(info.buffer, 0, length))?.state !== STATES["UNCONN"]) return false;
    getsockopt(this.descriptor, SOL_SOCKET, SO_ERROR);
    return true;
  }

  /**
   * Closes the duplicate. When the application has closed its own descriptor and SO_LINGER is set, close(2) waits until the
   * peer has acknowledged everything. After a shutdown SO_LINGER is cleared; otherwise another thread makes the call.
   */
  close(): void {
    if (this.#lingers && !(this.#isHungUp && this.#clearLinger())) this.descriptor.closeInBackground();
    else this.descriptor.close();
  }

  /** Whether close(2) may wait, which it may where the kernel does not say. */
  get #lingers(): boolean {
    try {
      getsockoptBytes(this.descriptor, SOL_SOCKET, SO_LINGER, lingerBytes);
    } catch (error) {
      if (!isSyscallError(error)) throw error;
      return true;
    }
    return linger[0] !== 0 && linger[1]! > 0;
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
}
