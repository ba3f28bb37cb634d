// Clients of a server with a pool of connections, which ask it again and again: pools.ts KIND HOST CLIENTS. They print, and
// are told, what those of pools.py are.

import { Redis } from "npm:ioredis@6.0.0";
import pg from "npm:pg@8.23.1";
import { Agent, request } from "npm:undici@7.30.2";

const [kind = "", host = "", count = ""] = Deno.args;
const clients = Number(count);

/** How each pool is made, and how it asks. */
const POOLS: Record<string, () => () => Promise<unknown>> = {
  "node-postgres"() {
    const pool = new pg.Pool({ host, user: "postgres", database: "postgres", max: clients });
    // A connection has ended: the pool drops it.
    pool.on("error", () => {});
    return () => pool.query("SELECT 1");
  },
  ioredis() {
    const redis = new Redis(6379, host);
    redis.on("error", () => {});
    return () => redis.ping();
  },
  undici() {
    const dispatcher = new Agent({ connections: clients });
    return async () => await (await request(`http://${host}/`, { dispatcher })).body.text();
  },
};

function say(line: Record<string, unknown>): void {
  console.log(JSON.stringify(line));
}

const ask = POOLS[kind]!();
let resting = false;
let going = Promise.withResolvers<void>();
going.resolve();
const asking = new Set<Promise<unknown>>();

async function client(number: number): Promise<never> {
  for (;;) {
    await going.promise;
    const begin = Date.now();
    say({ client: number, begin });
    const asked = ask().then(() => null, (error) => `${error}`);
    asking.add(asked);
    say({ client: number, begin, error: await asked, end: Date.now() });
    asking.delete(asked);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

for (let number = 0; number < clients; number++) void client(number);
for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  for (const line of text.split("\n")) {
    if (line === "go") {
      resting = false;
      going.resolve();
    } else if (line === "pause") {
      if (!resting) going = Promise.withResolvers<void>();
      resting = true;
      void Promise.all(asking).then(() => say({ resting: true }));
    }
  }
}
