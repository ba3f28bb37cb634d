// Orphans (the kernel's word for connections that their programs have closed) and the effect of SOCK_DESTROY on them.
//
// Before Linux 6.11, SOCK_DESTROY empties an orphan's send queue, and its timers do nothing when that queue is empty. An
// orphan that would have gone after some retransmissions then stays until its peer sends something or the host restarts.
// Distributions have backported the fix (commit bac76cf89816), so an older version number proves nothing. On such a kernel
// SOCK_DESTROY is tried first on an orphan of this process, whose peer is this process too.

import { withOpen } from "../../ffi/closing.ts";
import { IPPROTO_TCP, MSG_DONTWAIT, send } from "../../ffi/socket.ts";
import type { Connection } from "../model/connection.ts";
import { withPair } from "./loopback_pair.ts";
import type { State } from "../model/tcp_states.ts";
import { isLinux } from "../linux/proc/release.ts";
import { Selector } from "../select/selector.ts";
import { compileSelection } from "../select/compile_selection.ts";
import { sockIdOf } from "../select/sockets.ts";

const CLOSED: ReadonlySet<State> = new Set(["FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "LAST-ACK"]);

/**
 * Tells whether the program has closed the connection. One not yet accepted has no inode either, but has sent no FIN.
 */
export function isOrphan({ inode, state }: Pick<Connection, "inode" | "state">): boolean {
  return inode === 0 && CLOSED.has(state);
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
