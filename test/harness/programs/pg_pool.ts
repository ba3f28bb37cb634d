// Clients of a PostgreSQL server with a pool of node-postgres's, which write again and again: pg_pool.ts HOST CLIENTS. They
// print what those of pg_pool.py do.

import pg from "npm:pg@8.23.1";

const [host, count] = Deno.args;
const pool = new pg.Pool({ host, user: "postgres", database: "postgres", max: Number(count) });
// A connection has ended: the pool drops it.
pool.on("error", () => {});
pool.on("connect", (client: pg.PoolClient) => client.on("error", () => {}));

/** Writes as transactions are written. (pool.query() throws a connection away on which a statement has failed.) */
async function attempt(): Promise<{ server: string } | { error: string }> {
  let client: pg.PoolClient | undefined;
  try {
    client = await pool.connect();
    const { rows } = await client.query(
      "INSERT INTO writes DEFAULT VALUES RETURNING host(inet_server_addr()) AS server",
    );
    return { server: rows[0].server };
  } catch (error) {
    return { error: (error as Error).message };
  } finally {
    client?.release();
  }
}

async function client(number: number): Promise<never> {
  for (let before = "";;) {
    const result = await attempt();
    const text = JSON.stringify({ client: number, ...result });
    if (text !== before) console.log(text);
    before = text;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

await Promise.race(Array.from({ length: Number(count) }, (_, number) => client(number)));
