// A network namespace full of connections: each run of a tool that ends connections needs a new one.

import { fromFileUrl } from "./paths.ts";
import { lines } from "../lines.ts";

/** A process that holds connections: see holder.ts. */
class Holder {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: ReadableStreamDefaultReader<string>;

  constructor() {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-net", fromFileUrl(new URL("./holder.ts", import.meta.url))],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#answers = lines(this.#process.stdout).getReader();
  }

  async obey(line: string): Promise<string> {
    await this.#writer.write(new TextEncoder().encode(line + "\n"));
    const { done, value } = await this.#answers.read();
    if (done) throw new Error(`a process of the benchmark ended at: ${line}`);
    return value;
  }

  async end(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#writer.abort().catch(() => {});
    await this.#answers.cancel();
    await this.#process.status;
  }
}

/** The address of a server, all of them within 127.0.0.0/24. */
function address(server: number): string {
  return `127.0.0.${server + 1}`;
}

/** Client processes that hold connections, and as many server processes that hold the other ends. */
export class World {
  readonly #holders: Holder[] = [];

  /** Opens `count` connections to each port, spread over `processes` client processes. */
  static async open(ports: Record<number, number>, processes: number): Promise<World> {
    const world = new World();
    const clients = Array.from({ length: processes }, () => world.#add());
    const servers = Array.from({ length: processes }, () => world.#add());
    // Each server has an address of its own: all sockets in one process would be more than it may open.
    await Promise.all(servers.map(async (server, i) => {
      for (const port of Object.keys(ports)) await server.obey(`listen ${address(i)} ${port}`);
    }));
    await Promise.all(clients.map(async (client, i) => {
      for (const [port, count] of Object.entries(ports)) {
        const share = Math.floor(count / processes) + (i < count % processes ? 1 : 0);
        if (share > 0) await client.obey(`connect ${address(i)} ${port} ${share}`);
      }
    }));
    // No connection may be left in a backlog: it would have no owner.
    let accepted = 0;
    const expected = Object.values(ports).reduce((a, b) => a + b);
    while (accepted < expected) {
      accepted = 0;
      for (const server of servers) accepted += Number(await server.obey("count"));
    }
    return world;
  }

  #add(): Holder {
    const holder = new Holder();
    this.#holders.push(holder);
    return holder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#holders.map((holder) => holder.end()));
  }
}
