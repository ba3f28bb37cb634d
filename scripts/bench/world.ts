// A network namespace full of connections: each run of a tool that ends connections needs a new one.

import { Dialogue } from "../../test/harness/lines.ts";

/** What a process that holds connections is: see there. */
const HOLDER = `${import.meta.dirname}/holder.ts`;

/** The address of a server, all of them within 127.0.0.0/24. */
function address(server: number): string {
  return `127.0.0.${server + 1}`;
}

async function obey(holder: Dialogue, line: string): Promise<string> {
  await holder.tell(line);
  return await holder.line();
}

/** Client processes that hold connections, and as many server processes that hold the other ends. */
export class World {
  readonly #holders: Dialogue[] = [];

  /** Opens `count` connections to each port, spread over `processes` client processes. */
  static async open(ports: Record<number, number>, processes: number): Promise<World> {
    const world = new World();
    const clients = Array.from({ length: processes }, () => world.#add());
    const servers = Array.from({ length: processes }, () => world.#add());
    // Each server has an address of its own: all sockets in one process would be more than it may open.
    await Promise.all(servers.map(async (server, i) => {
      for (const port of Object.keys(ports)) await obey(server, `listen ${address(i)} ${port}`);
    }));
    await Promise.all(clients.map(async (client, i) => {
      for (const [port, count] of Object.entries(ports)) {
        const share = Math.floor(count / processes) + (i < count % processes ? 1 : 0);
        if (share > 0) await obey(client, `connect ${address(i)} ${port} ${share}`);
      }
    }));
    // No connection may be left in a backlog: it would have no owner.
    let accepted = 0;
    const expected = Object.values(ports).reduce((a, b) => a + b);
    while (accepted < expected) {
      accepted = 0;
      for (const server of servers) accepted += Number(await obey(server, "count"));
    }
    return world;
  }

  #add(): Dialogue {
    const holder = Dialogue.start([Deno.execPath(), "run", "--allow-net", HOLDER], "holder.ts");
    this.#holders.push(holder);
    return holder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#holders.map((holder) => holder[Symbol.asyncDispose]()));
  }
}
