// The second room of the pipeline: who holds the connections, and which of them carry the operator's own session.

import { formatAddress, formatEndpoint, parseAddress } from "./address.ts";
import type { Connection, Owner } from "./connection.ts";
import { findOwners } from "./owners/find.ts";
import { ancestors, environment, self } from "./owners/proc.ts";

/** How to look for owners. */
export interface ResolveOptions {
  readonly exhaustive?: boolean;
  readonly exceptSelf?: boolean;
  readonly known?: ReadonlyMap<number, readonly Owner[]>;
}

/** Finds owners. What concerns this process alone is read once. */
export class Resolver {
  readonly #self = self();
  readonly #ancestors = new Set(ancestors());
  readonly #session = sshSession();
  /** How many processes could not be looked into, at the last look. */
  unreadable = 0;

  /**
   * Fills in the owners of connections.
   *
   * @param options.exhaustive Find every holder; else stop when every connection has one.
   * @param options.exceptSelf Leave this process out: it holds duplicates.
   * @param options.known Owners that have just been found, by inode.
   */
  resolve(connections: readonly Connection[], options: ResolveOptions = {}): void {
    const held = connections.filter(({ inode }) => inode !== 0);
    const { owners, unreadable } = findOwners(held, {
      exhaustive: options.exhaustive,
      first: [...this.#ancestors],
      except: options.exceptSelf ? this.#self : undefined,
      known: options.known,
    });
    this.unreadable = unreadable;
    for (const connection of held) connection.owners = owners.get(connection.inode) ?? [];
  }

  /** Why the connection is part of the operator's own session; null when it is not. */
  sessionOf({ src, dst, owners }: Connection): string | null {
    for (const { pid, comm } of owners) {
      if (this.#ancestors.has(pid)) return `held by an ancestor of this process: pid ${pid} (${comm})`;
    }
    if (this.#session === null) return null;
    const ends = `${formatEndpoint(dst.address, dst.port)} ${formatEndpoint(src.address, src.port)}`;
    return ends === this.#session ? "the ssh connection of this session (SSH_CONNECTION)" : null;
  }
}

/** Both ends of the ssh connection that this process was started over, the client's first; null without one. */
function sshSession(): string | null {
  const [client, clientPort, server, serverPort] = environment("SSH_CONNECTION")?.split(" ") ?? [];
  if (serverPort === undefined) return null;
  return `${endpoint(client, clientPort)} ${endpoint(server, serverPort)}`;
}

/** sshd gives link-local addresses with their zone, which rows do not have. */
function endpoint(text: string, port: string): string {
  const address = parseAddress(text.split("%")[0]);
  return formatEndpoint(address === null ? text : formatAddress(address), Number(port));
}
