// Programs with pools of connections to PostgreSQL.

import { Lines } from "./lines.ts";
import type { Namespace } from "./namespace.ts";
import { denoProgram, pythonProgram } from "./peer.ts";

/** The commands that run the programs, by the names of their pools. */
const POOLS = {
  psycopg2: (...args: string[]) => pythonProgram("pg_pool.py", ...args),
  "node-postgres": (...args: string[]) => denoProgram("pg_pool.ts", ...args),
};

/** What has changed for a client: the server that took its writes, or why they fail. */
export interface Change {
  readonly client: number;
  readonly server?: string;
  readonly error?: string;
}

/** A program of which each client writes again and again to a host. It ends with its namespace. */
export class PgPool {
  static readonly kinds = Object.keys(POOLS) as (keyof typeof POOLS)[];
  readonly clients: number;
  readonly #lines: Lines;

  constructor(netns: Namespace, kind: keyof typeof POOLS, { host, clients }: { host: string; clients: number }) {
    this.clients = clients;
    const child = netns.spawn(POOLS[kind](host, `${clients}`));
    this.#lines = new Lines(child.stdout);
  }

  /** Waits until the condition has held for each client. Returns all changes until then. */
  async each(condition: (change: Change) => boolean): Promise<Change[]> {
    const waiting = new Set(Array.from({ length: this.clients }, (_, number) => number));
    const changes: Change[] = [];
    while (waiting.size > 0) {
      const change: Change = JSON.parse((await this.#lines.next(1))[0]!);
      changes.push(change);
      if (condition(change)) waiting.delete(change.client);
    }
    return changes;
  }
}
