// Recognises the connections of the operator's own session, which must not be cut by accident.

import type { NetnsInode } from "../model/ids.ts";
import { formatAddress, formatEndpoint, parseAddress } from "../model/address.ts";
import type { Connection, HeldConnection } from "../model/connection.ts";
import { ancestry, comm, environment, processes, readStat, self, terminalsOf } from "../linux/proc/process.ts";

/** A process that may hold a connection of the session. */
interface Carrier {
  /** The role of the process in the session, for messages. */
  readonly is: string;
  /** Whether all of its connections belong to the session, not only those that it has accepted. */
  readonly wholly: boolean;
}

/** The operator's session at the moment of construction. A session of tmux may be attached elsewhere at any time. */
export class Session {
  readonly #carriers = new Map<number, Carrier>();
  /** The ends in SSH_CONNECTION, as `endsOf` writes them. */
  readonly #ssh = new Set<string>();
  readonly #followed = new Set<number>();
  readonly #listening: () => (netns: NetnsInode, port: number) => boolean;
  #isListenedOn: ((netns: NetnsInode, port: number) => boolean) | undefined;

  /** @param listening Tells whether a port is listened on. It is called only when that matters. */
  constructor(listening: () => (netns: NetnsInode, port: number) => boolean) {
    this.#listening = listening;
    this.#follow(self(), "an ancestor of this process");
  }

  /** The processes that may hold a connection of the session. */
  get carriers(): number[] {
    return [...this.#carriers.keys()];
  }

  /**
   * Adds the ancestors of a process as carriers: one of them may have accepted the connection that the operator works over.
   * All connections of the ancestors above the leader of the terminal's session count, since these processes serve the
   * terminal.
   */
  #follow(pid: number, is: string): void {
    if (this.#followed.has(pid)) return;
    this.#followed.add(pid);
    const line = ancestry(pid);
    const { session, terminal } = line[0] ?? { session: 0, terminal: 0 };
    const leader = terminal === 0 ? -1 : line.findIndex((one) => one.pid === session);
    line.forEach(({ pid }, i) => {
      const ends = sshEnds(pid);
      if (ends !== null) this.#ssh.add(ends);
      const name = comm(pid);
      // systemd keeps connections for the services that it starts (Accept=yes, FDSTORE=1).
      if (i === 0 || name === "systemd") return;
      const wholly = isSshd(name) || (leader !== -1 && i > leader && pid !== 1);
      if (!this.#carriers.get(pid)?.wholly) this.#carriers.set(pid, { is, wholly });
      if (isMultiplexer(name)) this.#followClients(pid, name);
    });
  }

  /** Adds the clients of a terminal multiplexer. It does not descend from them, but has their terminals open. */
  #followClients(multiplexer: number, name: string): void {
    const terminals = new Set(terminalsOf(multiplexer));
    if (terminals.size === 0) return;
    for (const pid of processes()) {
      if (terminals.has(readStat(pid)?.terminal ?? 0)) {
        this.#follow(pid, `an ancestor of pid ${pid}, attached to ${name}`);
      }
    }
  }

  /** Returns why the connection is part of the session; null when it is not. */
  explainProtection({ connection, owners }: HeldConnection): string | null {
    const { netns, src } = connection;
    if (this.#ssh.size > 0 && this.#ssh.has(endsOf(connection))) {
      return "the ssh connection of this session (SSH_CONNECTION)";
    }
    for (const { pid, comm } of owners) {
      const carrier = this.#carriers.get(pid);
      if (carrier === undefined) continue;
      if (carrier.wholly) return `held by ${carrier.is}: pid ${pid} (${comm})`;
      // The kernel never binds a connecting socket to a port that is listened on, so the connection was accepted.
      this.#isListenedOn ??= this.#listening();
      if (this.#isListenedOn(netns, src.port)) return `accepted by ${carrier.is}: pid ${pid} (${comm})`;
    }
    return null;
  }
}

function isSshd(name: string): boolean {
  return name === "sshd" || name === "sshd-session";
}

/** tmux calls its server "tmux: server", and screen its own "screen". */
function isMultiplexer(name: string): boolean {
  return /^(tmux|screen)\b/.test(name);
}

/** Writes both ends, the client's first, as in SSH_CONNECTION. This host is the server. */
function endsOf({ src, dst }: Connection): string {
  return `${formatEndpoint(dst.address, dst.port)} ${formatEndpoint(src.address, src.port)}`;
}

/** Returns both ends of the ssh connection that a process was started over, as `endsOf` writes them; null without one. */
function sshEnds(pid: number): string | null {
  const [client = "", clientPort = "", server = "", serverPort] = environment("SSH_CONNECTION", pid)?.split(" ") ?? [];
  if (serverPort === undefined) return null;
  return `${endpoint(client, clientPort)} ${endpoint(server, serverPort)}`;
}

/** Writes an endpoint of SSH_CONNECTION. sshd adds the zone to link-local addresses, which rows do not have. */
function endpoint(text: string, port: string): string {
  const address = parseAddress(text.replace(/%.*/s, ""));
  return formatEndpoint(address === null ? text : formatAddress(address), Number(port));
}
