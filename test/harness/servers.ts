// Real servers from Debian, each with a configuration and a directory of its own.

import type { Namespace } from "./namespace.ts";
import { eventually } from "./process.ts";

/** A server that runs until it, or its namespace, is disposed of. */
class Server implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #directory: string;

  constructor(child: Deno.ChildProcess, directory: string) {
    this.#child = child;
    this.#directory = directory;
  }

  /** What it has written to its log file. */
  async log(): Promise<string> {
    return await Deno.readTextFile(`${this.#directory}/log`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await Deno.remove(this.#directory, { recursive: true });
  }
}

async function start(
  netns: Namespace,
  listening: string,
  command: (directory: string) => string[],
  files: Record<string, string> = {},
): Promise<Server> {
  const directory = await Deno.makeTempDir({ prefix: "tcphup-test-" });
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${directory}/${name}`, text);
  const server = new Server(netns.spawn(command(directory)), directory);
  await eventually(`something listens on ${listening}`, async () => {
    return (await netns.ss("-l")).some((line) => line.includes(` ${listening} `));
  });
  return server;
}

/** Starts nginx with the given content of its `http` block, and waits until it listens on `listening`. */
export async function nginx(netns: Namespace, listening: string, http: string): Promise<Server> {
  const configuration = `
    daemon off;
    worker_processes 2;
    pid nginx.pid;
    error_log log notice;
    events {}
    http {
      access_log off;
      ${http}
    }`;
  return await start(netns, listening, (directory) => ["nginx", "-p", directory, "-e", "log", "-c", "nginx.conf"], {
    "nginx.conf": configuration,
  });
}

/** Starts a Redis server without persistence on port 6379 of `address`. */
export async function redis(netns: Namespace, address: string): Promise<Server> {
  return await start(netns, `${address}:6379`, (directory) => {
    return [
      "redis-server",
      "--bind",
      address,
      "--protected-mode",
      "no",
      "--save",
      "",
      "--dir",
      directory,
      "--logfile",
      "log",
    ];
  });
}

/** Starts HAProxy with the given sections, and waits until it listens on `listening`. */
export async function haproxy(netns: Namespace, listening: string, sections: string): Promise<Server> {
  return await start(netns, listening, (directory) => ["haproxy", "-db", "-q", "-f", `${directory}/haproxy.cfg`], {
    "haproxy.cfg": sections,
  });
}
