// Further processes of tcphup that help to hang up on thousands of connections. Nearly all the time of a hang-up is the
// kernel's, sending FINs, which it does on as many processors as ask it to.
//
// They are called for when it is known how many connections there are, and start while their owners are looked for. Each
// is given a share in shared memory and does what this process would, the proof that a descriptor is the listed socket
// included. What one of them has not done, for whatever reason, is this process's again.

import { createMemory, mapMemory } from "../ffi/file.ts";
import { Descriptor, isSyscallError, statx } from "../ffi/libc.ts";
import { spawn } from "../ffi/process.ts";
import { receive, send, socketpair } from "../ffi/unix.ts";
import type { Connection } from "./connection.ts";
import { Share, shareSize } from "./crew/share.ts";
import { type Listed, Processes } from "./duplicate/duplicate.ts";
import { inheritedEnvironment } from "./launch/heritage.ts";
import { formatCookie } from "./netlink/inet_diag.ts";
import { UsageError } from "./usage_error.ts";

/** From how many connections on a helper, which takes as long to start as tcphup, is worth it. */
const WORTH_IT = 3000;
const MOST = 2;

/** The helper's descriptors: its end of a socket pair, and its share. */
const SOCKET_FD = 3;
const SHARE_FD = 4;

interface Helper {
  readonly socket: Descriptor;
  readonly share: Share;
  /** What it was given. */
  connections: readonly Connection[];
}

/** How helpers are started. */
export interface CrewOptions {
  /** The command line of a helper. */
  command(): readonly string[];
  readonly linger_ms: number;
}

/** The helpers of a run; none until there is enough to do. */
export class Crew {
  readonly #options: CrewOptions;
  #helpers: Helper[] = [];

  constructor(options: CrewOptions) {
    this.#options = options;
  }

  /** Starts helpers, if so many connections deserve it. Where one cannot be started, this process does all. */
  call(connections: number): void {
    if (connections < WORTH_IT || this.#helpers.length > 0) return;
    const processors = globalThis.navigator?.hardwareConcurrency ?? 1;
    try {
      for (let i = 0; i < Math.min(MOST, processors - 1); i++) this.#helpers.push(this.#start(connections));
    } catch (error) {
      if (!isSyscallError(error)) throw error;
    }
  }

  #start(connections: number): Helper {
    const size = shareSize(connections);
    const memory = createMemory("tcphup share", size);
    const [socket, theirs] = socketpair();
    try {
      const encoder = new TextEncoder();
      const command = this.#options.command();
      spawn(command[0], command.map((word) => encoder.encode(word)), inheritedEnvironment(), [
        { action: "open", fd: 0, path: "/dev/null", flags: 0 },
        { action: "open", fd: 1, path: "/dev/null", flags: 1 },
        { action: "duplicate", from: theirs, to: SOCKET_FD },
        { action: "duplicate", from: memory, to: SHARE_FD },
      ]);
      return { socket, share: new Share(mapMemory(memory, size)), connections: [] };
    } catch (error) {
      socket.close();
      throw error;
    } finally {
      theirs.close();
      memory.close();
    }
  }

  /** Hands out shares of connections whose owners are known. Returns those that are left for this process. */
  share(connections: readonly Connection[]): readonly Connection[] {
    if (connections.length < WORTH_IT || this.isBusy || this.#helpers.length === 0) return connections;
    const size = Math.floor(connections.length / (this.#helpers.length + 1));
    const left: Connection[] = connections.slice(this.#helpers.length * size);
    this.#helpers.forEach((helper, i) => {
      const part: Connection[] = [];
      for (const connection of connections.slice(i * size, (i + 1) * size)) {
        (isPlain(connection) ? part : left).push(connection);
      }
      helper.share.assign(part, this.#options.linger_ms);
      helper.connections = part;
      send({ text: "share", descriptors: [] }, helper.socket);
    });
    return left;
  }

  /** Whether shares are out. */
  get isBusy(): boolean {
    return this.#helpers.some(({ connections }) => connections.length > 0);
  }

  /** Has the helpers stop, each between two connections of its share. */
  stop(): void {
    for (const { share } of this.#helpers) share.stop();
  }

  /** Waits for the helpers, and tells for each connection of theirs whether it was hung up on. */
  collect(each: (connection: Connection, done: boolean) => void): void {
    for (const helper of this.#helpers) {
      const { connections, share, socket } = helper;
      if (connections.length === 0) continue;
      // It answers when it has finished; where it has died the socket ends.
      receive(socket);
      helper.connections = [];
      connections.forEach((connection, i) => each(connection, share.isDone(i)));
    }
  }

  /** Sends the helpers home: they end when they read the end of their sockets, soon or after this process. */
  close(): void {
    for (const { socket } of this.#helpers) socket.close();
    this.#helpers = [];
  }
}

/** Whether a helper can do it: it only knows the first owner, and cookies are no proof for MPTCP. */
function isPlain({ protocol, owners }: Connection): boolean {
  return protocol === "tcp" && owners.length > 0 && owners[0].tid === undefined;
}

/** What a helper does: it waits for its share, and hangs up on what is in it. */
export function helpOut(): void {
  const socket = new Descriptor(SOCKET_FD);
  const memory = new Descriptor(SHARE_FD);
  const processes = new Processes();
  while (isCalled(socket)) {
    const share = new Share(mapMemory(memory, statx(memory).size));
    for (let i = 0; i < share.count && !share.isStopped; i++) if (hangUp(share, i, processes)) share.setDone(i);
    processes.close();
    send({ text: "done", descriptors: [] }, socket);
  }
}

/** Waits until there is a share. */
function isCalled(socket: Descriptor): boolean {
  try {
    return receive(socket) !== null;
  } catch (error) {
    if (!isSyscallError(error, "EBADF", "ENOTSOCK")) throw error;
    throw new UsageError("help-out is not a command to type: tcphup hup starts it");
  }
}

/** What is not looked at where the cookie is the proof. */
const TCP = { protocol: "tcp", inode: 0, src: { address: "", port: 0 }, dst: { address: "", port: 0 } } as const;

function hangUp(share: Share, i: number, processes: Processes): boolean {
  const listed: Listed = { ...TCP, cookie: formatCookie(...share.cookie(i)) };
  try {
    const duplicate = processes.duplicate(listed, { pid: share.pid(i), fd: share.fd(i) });
    if (duplicate === null) return false;
    try {
      return duplicate.hangUp({ linger_ms: share.linger_ms });
    } finally {
      duplicate.close();
    }
  } catch (error) {
    if (isSyscallError(error)) return false;
    throw error;
  }
}
