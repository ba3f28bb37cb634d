// A test connection from this process to itself over loopback.

import { withOpen, withTracked } from "../../ffi/closing.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { accept, AF_INET, bind, connect, getsockname, listen, SOCK_STREAM, socket } from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { noteNothing } from "../../ffi/progress.ts";
import { LOOPBACK } from "../model/address.ts";
import type { Connection } from "../model/connection.ts";
import { encodeSockaddr, sockaddrPort } from "../linux/netlink/sockaddr.ts";
import { Selector } from "../select/selector.ts";
import { compileSelection } from "../select/compile_selection.ts";

/** The client's end of a connection over loopback. The server's end never reads. */
export interface LoopbackPair {
  readonly client: Descriptor;
  /** Returns the connection as the kernel lists it; undefined when the kernel does not. */
  listed(): Connection | undefined;
}

/**
 * Calls `use` with a new connection over loopback, and closes the connection afterwards.
 *
 * @param protocol IPPROTO_TCP or IPPROTO_MPTCP.
 * @param prepare Called before it is opened, with the port that it goes to.
 * @throws {Error} When the loopback interface is down.
 */
export function withPair<T>(protocol: number, use: (pair: LoopbackPair) => T, prepare?: (port: number) => void): T {
  noteNothing();
  try {
    return withTracked((track) => {
      const listener = track(socket(AF_INET, SOCK_STREAM, protocol));
      bind(listener, encodeSockaddr(LOOPBACK, 0));
      listen(listener, 1);
      const port = sockaddrPort(getsockname(listener));
      prepare?.(port);
      const client = track(socket(AF_INET, SOCK_STREAM, protocol));
      connect(client, encodeSockaddr(LOOPBACK, port));
      track(accept(listener));
      const all = compileSelection({ dst: "127.0.0.1", dport: port });
      return use({ client, listed: () => withOpen(new Selector(all), (selector) => selector.select()[0]) });
    });
  } catch (error) {
    if (!isSyscallError(error, "ENETUNREACH", "EADDRNOTAVAIL")) throw error;
    throw new Error("loopback is down, so nothing could be tried: ip link set lo up");
  }
}
