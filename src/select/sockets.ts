// The connections of a network namespace that dump plans select: TCP and MPTCP, IPv4 and IPv6.

import { attempt, isSyscallError } from "../../ffi/errno.ts";
import { AF_INET, AF_INET6, AF_UNSPEC, IPPROTO_MPTCP, IPPROTO_TCP } from "../../ffi/socket.ts";
import {
  extension,
  INET_DIAG_INFO,
  INET_DIAG_SHUTDOWN,
  type InetDiagMsg,
  type SockId,
} from "../linux/netlink/inet_diag.ts";
import type { DumpRequest } from "../linux/netlink/sock_diag.ts";
import { silentTime } from "../linux/netlink/tcp_info.ts";
import { formatAddress, formatEndpoint, formatIPv4, parseAddress, type Words } from "../model/address.ts";
import { type Connection, type Endpoint, endsOf, identityOf, type Timer } from "../model/connection.ts";
import { only } from "../model/only.ts";
import { stateMask, stateName } from "../model/tcp_states.ts";
import type { DumpPlan } from "./dump_plan.ts";
import { infoOf } from "./matcher.ts";
import type { Dumper } from "./parallel_dump.ts";

const OPEN_STATES = ~stateMask("LISTEN") >>> 0;

/**
 * Lists the connections that one of the plans selects, each once. The kernel lists the subflows of an MPTCP connection as
 * TCP sockets too. They are left out when their connection is selected; otherwise they are listed with `subflowOf`.
 *
 * @param extensions Bits of the reply attributes that the matchers read. With INET_DIAG_INFO connections get their
 * `tcpInfo` and `silentMs`.
 * @throws {SyscallError} `ENOENT` where the kernel has no tcp_diag.
 */
export function listConnections(
  diag: Dumper,
  plans: readonly DumpPlan[],
  extensions: number,
  netns: number,
): Connection[] {
  const connections = new Map<string, Connection>();
  const multipath = new Multipath();
  const listMptcp = () => {
    for (const plan of plans) {
      for (const request of mptcpRequests(plan, extensions)) {
        const add = (row: InetDiagMsg) => {
          const connection = withInfo(connectionOf(row, "mptcp", netns), row, extensions);
          const matches = plan.matchesMptcp(row);
          multipath.add(connection, matches);
          if (matches && plan.states >>> row.state & 1) connections.set(identityOf(connection), connection);
        };
        // A kernel without MPTCP answers ENOENT.
        attempt(() => diag.dump(request, add), "ENOENT");
      }
    }
  };

  listMptcp();
  const sockets = new Map<string, Connection>();
  for (const plan of plans) {
    if (plan.families.length === 0) continue;
    dumpFiltered(diag, tcpRequest(plan, extensions), plan, (row) => {
      if (!plan.matches(row)) return;
      const connection = withInfo(connectionOf(row, "tcp", netns), row, extensions);
      sockets.set(connection.cookie, connection);
    });
  }
  // An MPTCP connection may have been established since the first dump, whose subflow the TCP dump has seen.
  if (sockets.size > 0) listMptcp();
  const others: Connection[] = [];
  for (const socket of sockets.values()) {
    const parent = multipath.parentOf(socket);
    if (parent === undefined) {
      others.push(socket);
    } else if (!parent.matches) {
      const { address, port } = parent.connection.dst;
      others.push({ ...socket, subflowOf: formatEndpoint(address, port) });
    } else {
      const identity = identityOf(parent.connection);
      const connection = connections.get(identity);
      if (connection !== undefined) connections.set(identity, withSubflow(socket, connection));
    }
  }
  return [...connections.values(), ...others];
}

/**
 * Returns the dumps that `listConnections` makes, in their order, unless the kernel refuses one or no TCP socket exists.
 */
export function requestsOf(plans: readonly DumpPlan[], extensions: number): DumpRequest[] {
  const asked = plans.filter(({ families }) => families.length > 0);
  const mptcp = asked.flatMap((plan) => mptcpRequests(plan, extensions));
  return [...mptcp, ...asked.map((plan) => tcpRequest(plan, extensions)), ...mptcp];
}

/**
 * Returns dumps of MPTCP in every state and nearly without a filter: a subflow is recognised by its connection, selected or
 * not, open or closing. Listeners are asked for only when they matter, since the kernel keeps them in a table of their own.
 */
function mptcpRequests({ families, states, fallback }: DumpPlan, extensions: number): DumpRequest[] {
  return families.map((family) => ({
    family,
    protocol: IPPROTO_MPTCP,
    states: (OPEN_STATES | states) >>> 0,
    extensions: extensions | extension(INET_DIAG_SHUTDOWN),
    bytecode: fallback,
  }));
}

function tcpRequest(plan: DumpPlan, extensions: number): DumpRequest {
  return {
    family: only(plan.families) ?? AF_UNSPEC,
    protocol: IPPROTO_TCP,
    states: plan.states,
    extensions: extensions | extension(INET_DIAG_SHUTDOWN),
    bytecode: plan.bytecode,
  };
}

/** An MPTCP connection, and whether a matcher takes it. If so, it stands for its subflows, whatever their state. */
interface Parent {
  readonly connection: Connection;
  readonly matches: boolean;
}

/** The MPTCP connections of a namespace, indexed by the properties that their subflows share. */
class Multipath {
  /** All subflows have the inode of the connection while a descriptor refers to it. */
  readonly #byInode = new Map<number, Parent>();
  /** Before and after that, the first subflow has the ends of the connection. */
  readonly #byEnds = new Map<string, Parent>();

  add(connection: Connection, matches: boolean): void {
    const parent = { connection, matches: matches || (this.parentOf(connection)?.matches ?? false) };
    if (connection.inode !== 0) this.#byInode.set(connection.inode, parent);
    this.#byEnds.set(endsOf(connection), parent);
  }

  /** Returns the MPTCP connection that a socket is, or is a subflow of; undefined for none. */
  parentOf(connection: Connection): Parent | undefined {
    if (this.#byEnds.size === 0) return undefined;
    const parent = this.#byInode.get(connection.inode);
    if (parent !== undefined) return parent;
    const alike = this.#byEnds.get(endsOf(connection));
    // The connection may have been accepted or closed between two dumps. Two different inodes are two connections.
    return alike?.connection.inode === 0 || connection.inode === 0 ? alike : undefined;
  }
}

function withInfo(connection: Connection, row: InetDiagMsg, asked: number): Connection {
  if ((asked & extension(INET_DIAG_INFO)) === 0) return connection;
  const tcpInfo = infoOf(row, connection.protocol);
  const isEstablished = connection.state !== "SYN-SENT" && connection.state !== "SYN-RECV";
  return { ...connection, tcpInfo, silentMs: tcpInfo && isEstablished ? silentTime(tcpInfo) : null };
}

/**
 * Returns an MPTCP connection with what a subflow tells of it: when its peer was heard, and when the SYN is sent again, of
 * which an MPTCP connection shows nothing itself.
 */
function withSubflow({ silentMs, timer }: Connection, connection: Connection): Connection {
  const opening = connection.state === "SYN-SENT" ? { ...connection, timer } : connection;
  if (silentMs === undefined || silentMs === null) return opening;
  return { ...opening, silentMs: Math.min(silentMs, connection.silentMs ?? Infinity) };
}

/** Dumps again with the fallback when the kernel refuses the bytecode. That costs time, never correctness. */
function dumpFiltered(diag: Dumper, request: DumpRequest, plan: DumpPlan, each: (row: InetDiagMsg) => void): void {
  try {
    diag.dump(request, each);
  } catch (error) {
    if (plan.bytecode === plan.fallback || !isSyscallError(error, "EINVAL", "EPERM")) throw error;
    diag.dump({ ...request, bytecode: plan.fallback }, each);
  }
}

/** The names of `idiag_timer`, from 1 on. */
const TIMERS = ["on", "keepalive", "timewait", "persist", "delack"] as const;

function timerOf(row: InetDiagMsg): Timer | null {
  if (row.timer === 0) return null;
  return { name: TIMERS[row.timer - 1] ?? "unknown", expiresMs: row.expires, retransmits: row.retransmits };
}

/** The peer of the row before: many connections have the same. */
let lastPeer: Endpoint = { address: "", port: 0 };

function peerOf(row: InetDiagMsg): Endpoint {
  const address = row.family === AF_INET
    ? formatIPv4(row.dstWord(3))
    : formatAddress({ words: [row.dstWord(0), row.dstWord(1), row.dstWord(2), row.dstWord(3)] });
  const port = row.dport;
  if (lastPeer.port !== port || lastPeer.address !== address) lastPeer = { address, port };
  return lastPeer;
}

/** Returns the connection that a row of a dump describes. */
export function connectionOf(row: InetDiagMsg, protocol: "tcp" | "mptcp", netns: number): Connection {
  // Without words, which are an array, this takes half as long, and each row has it done.
  const src = row.family === AF_INET
    ? formatIPv4(row.srcWord(3))
    : formatAddress({ words: [row.srcWord(0), row.srcWord(1), row.srcWord(2), row.srcWord(3)] });
  return {
    protocol,
    family: row.family === AF_INET ? "inet" : "inet6",
    state: stateName(row.state),
    src: { address: src, port: row.sport },
    dst: peerOf(row),
    shutdown: row.shutdown,
    interface: row.interface,
    rqueue: row.rqueue,
    wqueue: row.wqueue,
    inode: row.inode,
    cookie: row.cookie,
    uid: row.uid,
    netns,
    timer: timerOf(row),
  };
}

/** Returns the kernel's id of a connection, with its cookie. */
export function sockIdOf(connection: Connection): SockId {
  return sockIds()(connection);
}

/** Returns a function that does as `sockIdOf`, for many connections, and parses each address once. */
export function sockIds(): (connection: Connection) => SockId {
  const known = new Map<string, Words>();
  const words = (text: string): Words => {
    const parsed = known.get(text) ?? parseAddress(text)!.words;
    known.set(text, parsed);
    return parsed;
  };
  return (connection) => ({
    family: connection.family === "inet" ? AF_INET : AF_INET6,
    sport: connection.src.port,
    dport: connection.dst.port,
    src: words(connection.src.address),
    dst: words(connection.dst.address),
    interface: connection.interface,
    cookie: BigInt(`0x${connection.cookie}`),
  });
}
