// Every connection of a network namespace that a query selects: TCP and MPTCP, IPv4 and IPv6.

import { IPPROTO_MPTCP, IPPROTO_TCP, isSyscallError } from "../../ffi/libc.ts";
import { formatEndpoint } from "../address.ts";
import type { Connection } from "../connection.ts";
import { extension, INET_DIAG_SHUTDOWN, type InetDiagMsg } from "../netlink/inet_diag.ts";
import { CLOSING } from "../netlink/states.ts";
import { connectionOf } from "./connection.ts";
import type { SockDiag } from "./sock_diag.ts";

/** Which connections, in the terms of sock_diag. */
export interface Query {
  /** The families to list: AF_INET, AF_INET6 or both. */
  readonly families: readonly number[];
  /** Mask of 1 << state. */
  readonly states: number;
  /** Bits of further reply attributes that `matches` reads. */
  readonly extensions: number;
  /** The kernel's filter. It may let more through than `matches`, never less. */
  readonly bytecode: Uint8Array | null;
  /** Decides. */
  matches(row: InetDiagMsg): boolean;
}

const RCV_AND_SEND_SHUTDOWN = 3;

/**
 * Lists the connections that `query` selects. The subflows of an MPTCP connection, which the kernel lists as TCP
 * sockets too, are left out in favour of the connection itself.
 *
 * @throws {SyscallError} `ENOENT` where the kernel has no tcp_diag.
 */
export function listConnections(diag: SockDiag, query: Query, netns: number): Connection[] {
  const connections = new Map<string, Connection>();
  const multipath = new Map<number, Connection>();
  const base = { states: query.states, extensions: query.extensions | extension(INET_DIAG_SHUTDOWN) };

  for (const family of query.families) {
    // No filter: a subflow is recognised by its connection's inode, whichever of the two was selected.
    dumpIfSupported(diag, { ...base, family, protocol: IPPROTO_MPTCP, bytecode: null }, (row) => {
      const connection = describe(row, "mptcp", netns);
      if (row.inode !== 0) multipath.set(row.inode, connection);
      if (query.matches(row)) connections.set(`mptcp/${row.inode}/${connection.dst.port}`, connection);
    });
  }

  const selected = new Set(connections.values());
  for (const family of query.families) {
    dumpFiltered(diag, { ...base, family, protocol: IPPROTO_TCP, bytecode: query.bytecode }, (row) => {
      if (!query.matches(row)) return;
      const parent = row.inode === 0 ? undefined : multipath.get(row.inode);
      if (parent && selected.has(parent)) return;
      const connection = describe(row, "tcp", netns);
      if (parent) {
        connection.outcome = "skipped";
        connection.error = `a subflow of the MPTCP connection to ${endpoint(parent)}, which was not selected`;
      }
      connections.set(connection.cookie, connection);
    });
  }
  return [...connections.values()];
}

function endpoint({ dst }: Connection): string {
  return formatEndpoint(dst.address, dst.port);
}

function describe(row: InetDiagMsg, protocol: "tcp" | "mptcp", netns: number): Connection {
  const connection = connectionOf(row, protocol, netns);
  const closing = (1 << row.state & CLOSING) !== 0;
  if (closing && (row.inode === 0 || row.shutdown === RCV_AND_SEND_SHUTDOWN)) {
    connection.outcome = "already-gone";
    connection.error = `already hung up, in ${connection.state}`;
  }
  return connection;
}

type Dump = Parameters<SockDiag["dump"]>;

/** A filter that the kernel refuses costs time, never correctness. */
function dumpFiltered(diag: SockDiag, request: Dump[0], each: Dump[1]): void {
  try {
    diag.dump(request, each);
  } catch (error) {
    if (request.bytecode === null || !isSyscallError(error, "EINVAL", "EPERM")) throw error;
    diag.dump({ ...request, bytecode: null }, each);
  }
}

function dumpIfSupported(diag: SockDiag, request: Dump[0], each: Dump[1]): void {
  try {
    diag.dump(request, each);
  } catch (error) {
    if (!isSyscallError(error, "ENOENT", "EINVAL")) throw error;
  }
}
