// Proves that a descriptor is the connection that was listed.
//
// A cookie, or an inode number, identifies only the socket. A program may dissolve its connection (connect(2) to AF_UNSPEC)
// and connect the same socket to another peer, or listen on it. So both ends are compared as well, on the duplicate, some
// microseconds before anything is done to it.

import { attempt, isSyscallError } from "../../ffi/errno.ts";
import { statx } from "../../ffi/fs.ts";
import {
  AF_INET,
  AF_INET6,
  getpeername,
  getsocknameInto,
  getsockopt,
  getsockoptBytes,
  IPPROTO_MPTCP,
  SO_ACCEPTCONN,
  SO_BINDTOIFINDEX,
  SO_DOMAIN,
  SO_PEERNAME,
  SO_PROTOCOL,
  socketCookie,
  SOL_SOCKET,
} from "../../ffi/socket.ts";
import type { Descriptor } from "../../ffi/descriptor.ts";
import { noteConnection } from "../../ffi/progress.ts";
import { type Connection, handleOf } from "../model/connection.ts";
import { formatCookie } from "../model/ids.ts";
import { isSockaddrOf, SOCKADDR_IN6_SIZE, SOCKADDR_IN_SIZE } from "../linux/netlink/sockaddr.ts";
import type { State } from "../model/tcp_states.ts";

/**
 * Returns the state of the TCP socket that has a connection's cookie and both its ends now; null when there is none. The
 * state is LISTEN when the socket has become a listener on the local end.
 */
export type StateLookup = (connection: Connection) => State | null;

/**
 * The identity of a descriptor: the connection; its socket, whose connection has ended; or anything else, such as a
 * connection that is no longer as it was selected.
 */
export type Proof = "connection" | "ended" | "other";

/** Returns what a TCP socket that was listed in one state is, by its state now. */
export function proofOf(listed: State, now: State | null): Proof {
  if (now === null || (now === "LISTEN") !== (listed === "LISTEN")) return "ended";
  return listed === "SYN-SENT" && now !== "SYN-SENT" ? "other" : "connection";
}

/** Compares a descriptor with what was listed. */
export function prove(descriptor: Descriptor, connection: Connection, lookUp: StateLookup): Proof {
  try {
    if (!isSocket(descriptor, connection)) return "other";
    // The next calls take the lock of the connection, which a stuck process may hold.
    noteConnection(handleOf(connection));
    if (hasEnds(descriptor, connection)) {
      return connection.state === "SYN-SENT" && hasAnswered(descriptor) ? "other" : "connection";
    }
    // A BPF program may rename the ends of a socket: Cilium's report a service in place of the pod behind it.
    return connection.protocol === "tcp" ? proofOf(connection.state, lookUp(connection)) : "ended";
  } catch (error) {
    // Not a socket of TCP.
    if (isSyscallError(error, "ENOTSOCK", "EINVAL", "EOPNOTSUPP")) return "other";
    throw error;
  }
}

/**
 * Whether it is the listed socket, by its cookie. MPTCP may list a connection with its listener's cookie: the inode
 * decides.
 */
function isSocket(descriptor: Descriptor, { protocol, cookie, inode }: Connection): boolean {
  if (protocol === "tcp") return socketCookie(descriptor, formatCookie) === cookie;
  const domain = getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN);
  if (domain !== AF_INET && domain !== AF_INET6) return false;
  return getsockopt(descriptor, SOL_SOCKET, SO_PROTOCOL) === IPPROTO_MPTCP && statx(descriptor).ino === inode;
}

function hasEnds(descriptor: Descriptor, { state, family, src, dst, interface: index }: Connection): boolean {
  getsocknameInto(descriptor, ends[family]);
  if (!isSockaddrOf(ends[family], src)) return false;
  // The same link-local address may be on the other side of several interfaces.
  if (index !== 0 && getsockopt(descriptor, SOL_SOCKET, SO_BINDTOIFINDEX) !== index) return false;
  if (state === "LISTEN") return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN) === 1;
  // Unlike getpeername(2), SO_PEERNAME names the peer of a socket in SYN-SENT too.
  const hasPeer = attempt(() => getsockoptBytes(descriptor, SOL_SOCKET, SO_PEERNAME, ends[family]), "ENOTCONN");
  return hasPeer && isSockaddrOf(ends[family], dst);
}

const ends = { inet: new Uint8Array(SOCKADDR_IN_SIZE), inet6: new Uint8Array(SOCKADDR_IN6_SIZE) };

/** Whether the peer of a connect has answered. */
function hasAnswered(descriptor: Descriptor): boolean {
  return attempt(() => getpeername(descriptor), "ENOTCONN");
}
