// A demonstration that brings everything it needs: a server and a client with a pool of keep-alive connections, each a
// process of its own, on loopback, and tcphup in this one. It needs no privileges: a user may act on processes of their
// own and, where Yama is at its default, a process on its descendants, which these two are. Flags are tcphup's:
// `deno task demo --verbose`.

import { parseArguments } from "../src/cli/flags/arguments.ts";
import { hup } from "../src/cli/commands/hup.ts";
import { ls } from "../src/cli/commands/ls.ts";
import { chooseColor } from "../src/cli/output/terminal.ts";

const CONNECTIONS = 4;

/** A server that answers each line with the same line, on a port of the kernel's choice. */
async function serve(): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log((listener.addr as Deno.NetAddr).port);
  for await (const connection of listener) {
    connection.readable.pipeTo(connection.writable, { preventClose: false })
      .then(() => console.log("read end-of-file: the peer sent a FIN"))
      .catch((error: Error) => console.log(`read ${error.name}`));
  }
}

/** A client with a pool of idle connections, which says what becomes of them. */
async function connect(port: number): Promise<void> {
  const buffer = new Uint8Array(64);
  const pool = await Promise.all(Array.from({ length: CONNECTIONS }, () => Deno.connect({ port })));
  for (const connection of pool) {
    await connection.write(new TextEncoder().encode("ping\n"));
    await connection.read(buffer);
  }
  console.log("ready");
  const read = async (connection: Deno.Conn) =>
    (await connection.read(buffer)) === null ? "read end-of-file" : "read data";
  await Promise.all(pool.map(async (connection) => {
    console.log(await read(connection).catch((error: Error) => `read ${error.name}`));
    connection.close();
  }));
}

/** One of the two above, as a process of its own. */
class Actor {
  readonly process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest: string[] = [];

  constructor(role: string, ...args: string[]) {
    this.process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-config", "--allow-net=127.0.0.1", import.meta.filename!, role, ...args],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    this.#lines = this.process.stdout.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
      .getReader();
  }

  /** The next line that it says. */
  async says(): Promise<string> {
    while (this.#rest.length < 2) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error("a process of the demonstration ended early");
      const parts = value.split("\n");
      this.#rest = [...this.#rest.slice(0, -1), (this.#rest.at(-1) ?? "") + parts[0], ...parts.slice(1)];
    }
    return this.#rest.shift()!;
  }

  async end(): Promise<void> {
    await this.#lines.cancel();
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.process.status;
  }
}

/** How often each line was said. */
function tally(lines: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return [...counts].map(([line, count]) => `${count} × ${line}`).join(", ");
}

/** Runs a command line of tcphup in this process, and shows it as a shell does. Returns whether it succeeded. */
async function tcphup(...words: string[]): Promise<boolean> {
  console.log(`\n$ tcphup ${words.join(" ")}`);
  const args = parseArguments([...words, ...Deno.args]);
  chooseColor(args.value("color"));
  return await (args.command === "ls" ? ls(args) : hup(args)) === 0;
}

async function demonstrate(): Promise<boolean> {
  const server = new Actor("server");
  let client: Actor | undefined;
  try {
    const port = await server.says();
    client = new Actor("client", port);
    await client.says();
    console.log(`A server (pid ${server.process.pid}) listens on 127.0.0.1 port ${port}.`);
    console.log(`A client (pid ${client.process.pid}) keeps ${CONNECTIONS} idle connections to it.`);
    if (!await tcphup("ls", "127.0.0.1", port)) return false;

    const start = performance.now();
    if (!await tcphup("127.0.0.1", port)) return false;
    const ofClient: string[] = [];
    const ofServer: string[] = [];
    for (let i = 0; i < CONNECTIONS; i++) ofClient.push(await client.says());
    const noticed_ms = performance.now() - start;
    for (let i = 0; i < CONNECTIONS; i++) ofServer.push(await server.says());

    console.log(`\nThe client: ${tally(ofClient)}, all within ${noticed_ms.toFixed(0)} ms.`);
    console.log(`The server: ${tally(ofServer)}.`);
    if (![...ofClient, ...ofServer].every((line) => line.startsWith("read end-of-file"))) return false;
    console.log("Neither program was changed, restarted or sent a reset.");
    return true;
  } finally {
    await client?.end();
    await server.end();
  }
}

const [role, port] = Deno.args;
if (role === "server") await serve();
else if (role === "client") await connect(Number(port));
else Deno.exit(await demonstrate() ? 0 : 1);
