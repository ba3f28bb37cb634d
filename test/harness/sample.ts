// Connections for tests that need no kernel.

import type { Connection, Info, Keepalive, ListedConnection } from "../../src/model/connection.ts";

/** An established connection from 10.0.0.7:51234 to 10.0.0.5:443, except for what is said. */
export function sampleConnection(given: Partial<Connection> = {}): Connection {
  return {
    protocol: "tcp",
    family: "inet",
    state: "ESTAB",
    src: { address: "10.0.0.7", port: 51234 },
    dst: { address: "10.0.0.5", port: 443 },
    shutdown: 0,
    interface: 0,
    rqueue: 0,
    wqueue: 0,
    inode: 176593,
    cookie: "c6f9",
    uid: 1000,
    netns: 4026531840,
    timer: null,
    ...given,
  };
}

/** All that a list has of a connection, on one level. */
export type Sample = Partial<Connection & Omit<ListedConnection, "connection">>;

/** The same connection as a list has it, held by java. */
export function sampleListed(
  { owners = [{ pid: 4242, fd: 17, comm: "java" }], ownersLeftOut, keepalive, deadPeerNoticed, ...given }: Sample = {},
): ListedConnection {
  return { connection: sampleConnection(given), owners, ownersLeftOut, keepalive, deadPeerNoticed };
}

/** What the kernel says of a connection that last sent, and last received, so long ago. */
export function sampleInfo(lastDataSentMs: number, lastDataRecvMs: number): Info {
  return { lastDataSentMs, lastDataRecvMs, lastAckRecvMs: 0 };
}

/** The kernel's own keepalive, switched on, except for what is said. */
export function sampleKeepalive(given: Partial<Keepalive> = {}): Keepalive {
  return { enabled: true, idleS: 7200, intervalS: 75, count: 9, userTimeoutMs: 0, ...given };
}
