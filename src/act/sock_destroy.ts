// SOCK_DESTROY: what it ends, and why it may not. Orphans are the kernel's word for connections that their programs have
// closed.
//
// Before Linux 6.11, SOCK_DESTROY empties an orphan's send queue, and its timers do nothing when that queue is empty. An
// orphan that would have gone after some retransmissions then stays until its peer sends something or the host restarts.
// Distributions have backported the fix (commit bac76cf89816), so an older version number proves nothing. On such a kernel
// SOCK_DESTROY is tried first on an orphan of this process, whose peer is this process too.

import { withOpen } from "../../ffi/closing.ts";
import { isSyscallError, type SyscallError } from "../../ffi/errno.ts";
import { noteConnection } from "../../ffi/progress.ts";
import { AF_INET, IPPROTO_TCP, MSG_DONTWAIT, send } from "../../ffi/socket.ts";
import { NetnsError } from "../linux/netns/enter.ts";
import type { SockId } from "../linux/netlink/inet_diag.ts";
import type { SockDiag } from "../linux/netlink/sock_diag.ts";
import { hasCapability } from "../linux/proc/permissions.ts";
import { isLinux } from "../linux/proc/release.ts";
import { type Connection, handleOf } from "../model/connection.ts";
import type { Target } from "../model/result.ts";
import { compileSelection } from "../select/compile_selection.ts";
import { Selector } from "../select/selector.ts";
import { sockIdOf } from "../select/sockets.ts";
import { isOrphan } from "./exclusions.ts";
import { withPair } from "./loopback_pair.ts";
import { setGone, setOutcome } from "./outcomes.ts";

/** The reason why SOCK_DESTROY is not tried on an MPTCP connection. */
export const NOT_FOR_MPTCP = "SOCK_DESTROY cannot end MPTCP";

/**
 * Destroys a connection with SOCK_DESTROY. Returns null when it is done, else the reason why SOCK_DESTROY cannot do it.
 */
export function sockDestroy(target: Target, diag: SockDiag): string | null {
  const { connection, owners } = target;
  if (connection.protocol === "mptcp") return NOT_FOR_MPTCP;
  try {
    noteConnection(handleOf(connection), owners[0]?.pid ?? 0);
    diag.destroy(IPPROTO_TCP, sockIdOf(connection));
    setOutcome(target, "destroyed", null);
    return null;
  } catch (error) {
    if (isSyscallError(error, "ENOENT")) {
      setGone(target);
      return null;
    }
    if (error instanceof NetnsError) return error.message;
    if (!isSyscallError(error)) throw error;
    const refusal = explainRefusal(error);
    return refusal === null ? error.message : `SOCK_DESTROY ${refusal}`;
  }
}

const NEEDS_CAPABILITY = "needs CAP_NET_ADMIN";

/** Says what SOCK_DESTROY lacks that was refused with EPERM or EOPNOTSUPP; null for another error. */
export function explainRefusal({ code }: SyscallError): string | null {
  if (code === "EPERM") return NEEDS_CAPABILITY;
  return code === "EOPNOTSUPP" ? "needs a kernel with CONFIG_INET_DIAG_DESTROY" : null;
}

/** The reason why SOCK_DESTROY is not tried on an orphan. */
export const WOULD_STAY = "SOCK_DESTROY could keep what its program has closed for ever (Linux before 6.11)";

/** Tells whether SOCK_DESTROY ends orphans by the version of this kernel. */
export function isDestroyFixed(): boolean {
  return isLinux(6, 11);
}

/** Bytes that exceed the buffers of both sockets, so that the FIN stays queued behind them. */
const OVERFLOWING_SIZE = 16 << 20;

/**
 * Destroys an orphan of this process. Returns whether it went.
 *
 * @throws {SyscallError} `EPERM` without CAP_NET_ADMIN, `EOPNOTSUPP` without CONFIG_INET_DIAG_DESTROY.
 * @throws {Error} When the loopback interface is down.
 */
export function destroyOwnOrphan(): boolean {
  return withPair(IPPROTO_TCP, ({ client, listed }) => {
    send(client, new Uint8Array(OVERFLOWING_SIZE), MSG_DONTWAIT);
    client.close();
    const orphan = listed();
    if (orphan === undefined || !isOrphan(orphan)) throw new Error("an orphan to try it on was not listed");
    destroyOwn(orphan);
    return listed() === undefined;
  });
}

/** Destroys a connection of this process. @throws {SyscallError} As `destroyOwnOrphan`. */
export function destroyOwn(connection: Connection): void {
  withOpen(new Selector(compileSelection({ dst: "any" })), (selector) => {
    selector.diagOf(connection).destroy(IPPROTO_TCP, sockIdOf(connection));
  });
}

const ANY = [0, 0, 0, 0] as const;
/** An id that belongs to no socket. */
const NO_SOCKET: SockId = { family: AF_INET, sport: 0, dport: 0, src: ANY, dst: ANY, interface: 0, cookie: 1n };

/** Explains, before anything is touched, why SOCK_DESTROY may not end orphans. Returns null where it ends them. */
export function whyOrphansMayStay(diag: SockDiag): string | null {
  if (!hasCapability("CAP_NET_ADMIN")) return `SOCK_DESTROY ${NEEDS_CAPABILITY}`;
  try {
    diag.destroy(IPPROTO_TCP, NO_SOCKET);
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    const refusal = explainRefusal(error);
    if (refusal !== null) return `SOCK_DESTROY ${refusal}`;
  }
  return isDestroyFixed() ? null : WOULD_STAY;
}
