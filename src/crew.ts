// Further processes of tcphup that help to hang up on thousands of connections. Nearly all the time of a hang-up is the
// kernel's, sending FINs, which it does on as many processors as ask it to.
//
// They are called for when it is known how many connections there are, and start while their owners are looked for. Then
// all of them, this process too, take connections from one queue in shared memory and do the same, the proof that a
// descriptor is the listed socket included. What a helper has not done, for whatever reason, is this process's again.

import { createMemory, mapMemory } from "../ffi/file.ts";
import { Descriptor, isSyscallError, statx } from "../ffi/libc.ts";
import { spawn } from "../ffi/process.ts";
import { receive, send, socketpair } from "../ffi/unix.ts";
import type { Connection } from "./connection.ts";
import { Queue, queueSize } from "./crew/queue.ts";
import { type Listed, Processes } from "./duplicate/duplicate.ts";
import { inheritedEnvironment } from "./launch/heritage.ts";
import { formatCookie } from "./netlink/inet_diag.ts";
import { UsageError } from "./usage_error.ts";

/** From how many connections on a helper, which takes as long to start as tcphup, is worth it. */
const WORTH_IT = 3000;
const MOST = 3;

/** The helper's descriptors: its end of a socket pair, and the queue. */
const SOCKET_FD = 3;
const QUEUE_FD = 4;

/** How helpers are started. */
export interface CrewOptions {
  /** The command line of a helper. */
  command(): readonly string[];
  readonly linger_ms: number;
}

/** The helpers of a run; none until there is enough to do. */
export class Crew {
  readonly #options: CrewOptions;
  /** This process's ends of the socket pairs, one for each helper. */
  #sockets: Descriptor[] = [];
  #queue: Queue | null = null;
  #capacity = 0;
  /** What is in the queue. */
  #queued: readonly Connection[] = [];

  constructor(options: CrewOptions) {
    this.#options = options;
  }

  /** Starts helpers, if so many connections deserve it. Where one cannot be started, this process does all. */
  call(connections: number): void {
    if (connections < WORTH_IT || this.#queue !== null) return;
    const processors = globalThis.navigator?.hardwareConcurrency ?? 1;
    try {
      const size = queueSize(connections);
      const memory = createMemory("tcphup queue", size);
      try {
        for (let i = 0; i < Math.min(MOST, processors - 1); i++) this.#sockets.push(this.#start(memory));
        this.#queue = new Queue(mapMemory(memory, size));
        this.#capacity = connections;
      } finally {
        memory.close();
      }
    } catch (error) {
      if (!isSyscallError(error)) throw error;
    }
  }

  #start(memory: Descriptor): Descriptor {
    const [socket, theirs] = socketpair();
    try {
      const encoder = new TextEncoder();
      const command = this.#options.command();
      spawn(command[0], command.map((word) => encoder.encode(word)), inheritedEnvironment(), [
        { action: "open", fd: 0, path: "/dev/null", flags: 0 },
        { action: "open", fd: 1, path: "/dev/null", flags: 1 },
        { action: "duplicate", from: theirs, to: SOCKET_FD },
        { action: "duplicate", from: memory, to: QUEUE_FD },
      ]);
      return socket;
    } catch (error) {
      socket.close();
      throw error;
    } finally {
      theirs.close();
    }
  }

  /** Queues connections whose owners are known. Returns those that only this process can see to. */
  share(connections: readonly Connection[]): readonly Connection[] {
    const queue = this.#queue;
    if (queue === null || connections.length < WORTH_IT || this.isBusy || this.#sockets.length === 0) {
      return connections;
    }
    const queued: Connection[] = [];
    const left: Connection[] = [];
    for (const connection of connections) {
      (isPlain(connection) && queued.length < this.#capacity ? queued : left).push(connection);
    }
    queue.fill(queued, this.#options.linger_ms);
    this.#queued = queued;
    this.#sockets = this.#sockets.filter(isTold);
    return left;
  }

  /** Whether connections are queued, or were and are not collected yet. */
  get isBusy(): boolean {
    return this.#queued.length > 0;
  }

  /** Takes the next few from the queue, for this process to see to; none when it is empty. */
  take(): readonly Connection[] {
    const queue = this.#queue;
    if (queue === null || !this.isBusy) return [];
    const [from, to] = queue.take();
    for (let i = from; i < to; i++) queue.keep(i);
    return this.#queued.slice(from, to);
  }

  /** Has the helpers stop, each between two connections. */
  stop(): void {
    this.#queue?.stop();
  }

  /** Waits for the helpers, and tells for each connection that was not taken here whether it was hung up on. */
  collect(each: (connection: Connection, done: boolean) => void): void {
    const queue = this.#queue;
    if (queue === null || !this.isBusy) return;
    // An answer, or the end of one that has died.
    for (const socket of this.#sockets) receive(socket);
    const queued = this.#queued;
    this.#queued = [];
    queued.forEach((connection, i) => {
      if (!queue.isKept(i)) each(connection, queue.isDone(i));
    });
  }

  /** Sends the helpers home: they end when they read the end of their sockets, soon or after this process. */
  close(): void {
    for (const socket of this.#sockets) socket.close();
    this.#sockets = [];
  }
}

/** Tells a helper that there is a queue. Returns false when it has died. */
function isTold(socket: Descriptor): boolean {
  try {
    send({ text: "queue", descriptors: [] }, socket);
    return true;
  } catch (error) {
    if (!isSyscallError(error, "EPIPE", "ECONNRESET")) throw error;
    socket.close();
    return false;
  }
}

/** Whether a helper can do it: it only knows the first owner, and cookies are no proof for MPTCP. */
function isPlain({ protocol, owners }: Connection): boolean {
  return protocol === "tcp" && owners.length > 0 && owners[0].tid === undefined;
}

/** What a helper does: it waits until there is a queue, and hangs up on what it takes from it. */
export function helpOut(): void {
  const socket = new Descriptor(SOCKET_FD);
  const memory = new Descriptor(QUEUE_FD);
  const processes = new Processes();
  while (isCalled(socket)) {
    const queue = new Queue(mapMemory(memory, statx(memory).size));
    for (let [from, to] = queue.take(); from < to && !queue.isStopped; [from, to] = queue.take()) {
      for (let i = from; i < to && !queue.isStopped; i++) if (hangUp(queue, i, processes)) queue.setDone(i);
    }
    processes.close();
    send({ text: "done", descriptors: [] }, socket);
  }
}

/** Waits until there is a queue. */
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

function hangUp(queue: Queue, i: number, processes: Processes): boolean {
  const listed: Listed = { ...TCP, cookie: formatCookie(...queue.cookie(i)) };
  try {
    const duplicate = processes.duplicate(listed, { pid: queue.pid(i), fd: queue.fd(i) });
    if (duplicate === null) return false;
    try {
      return duplicate.hangUp({ linger_ms: queue.linger_ms });
    } finally {
      duplicate.close();
    }
  } catch (error) {
    if (isSyscallError(error)) return false;
    throw error;
  }
}
