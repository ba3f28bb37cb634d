// Real servers from Debian, each with a configuration and a directory of its own.

import type { Namespace, SpawnOptions } from "./namespace.ts";
import { POSTGRESQL } from "./postgresql.ts";
import { eventually, run } from "./process.ts";

/** A server that runs until it, or its namespace, is disposed of. */
class Server implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly directory: string;
  readonly #end: Deno.Signal;

  constructor(child: Deno.ChildProcess, directory: string, end: Deno.Signal = "SIGTERM") {
    this.#child = child;
    this.directory = directory;
    this.#end = end;
  }

  /** What it has written to its log file. */
  async log(): Promise<string> {
    return await Deno.readTextFile(`${this.directory}/log`);
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill(this.#end);
    await this.#child.status;
    await Deno.remove(this.directory, { recursive: true });
  }
}

async function start(
  netns: Namespace,
  listening: string,
  command: (directory: string) => string[],
  files: Record<string, string> = {},
  options: SpawnOptions = {},
): Promise<Server> {
  const directory = await Deno.makeTempDir({ prefix: "tcphup-test-" });
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${directory}/${name}`, text);
  const server = new Server(netns.spawn(command(directory), options), directory);
  await listens(netns, listening);
  return server;
}

async function listens(netns: Namespace, listening: string): Promise<void> {
  await eventually(`something listens on ${listening}`, async () => {
    return (await netns.ss("-l")).some((line) => line.includes(` ${listening} `));
  });
}

/** Starts nginx with the given content of its `http` block, and waits until it listens on `listening`. */
export async function nginx(
  netns: Namespace,
  listening: string,
  http: string,
  options?: SpawnOptions,
): Promise<Server> {
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
  }, options);
}

/** Starts a Redis server without persistence on port 6379 of `address`. */
export async function redis(
  netns: Namespace,
  address: string,
  settings: readonly string[] = [],
  options?: SpawnOptions,
): Promise<Server> {
  const command = ["redis-server", "--bind", address, "--protected-mode", "no", "--save", "", "--logfile", "log"];
  return await start(
    netns,
    `${address}:6379`,
    (directory) => [...command, "--dir", directory, ...settings],
    {},
    options,
  );
}

/** Starts HAProxy with the given sections, and waits until it listens on `listening`. */
export async function haproxy(netns: Namespace, listening: string, sections: string): Promise<Server> {
  return await start(netns, listening, (directory) => ["haproxy", "-db", "-q", "-f", `${directory}/haproxy.cfg`], {
    "haproxy.cfg": sections,
  });
}

/** A name server with records that change. */
export class NameServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Starts dnsmasq, and has the programs in `netns` resolve names by it. */
  static async start(netns: Namespace, records: Record<string, readonly string[]>): Promise<NameServer> {
    const address = "127.0.0.53";
    const server = await start(
      netns,
      `${address}:53`,
      (directory) => [
        ...["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-resolv"],
        ...["--no-hosts", `--addn-hosts=${directory}/hosts`, "--local=/internal/", "--log-queries"],
        ...[`--log-facility=${directory}/log`, `--listen-address=${address}`, "--bind-interfaces"],
      ],
      { hosts: recordsText(records) },
    );
    await netns.nameServer(address);
    return new NameServer(server);
  }

  /** Changes the records. Returns once the server answers by them. */
  async set(records: Record<string, readonly string[]>): Promise<void> {
    const readings = await this.#readings();
    await Deno.writeTextFile(`${this.#server.directory}/hosts`, recordsText(records));
    this.#server.kill("SIGHUP");
    await eventually("dnsmasq has read its records", async () => await this.#readings() > readings);
  }

  async #readings(): Promise<number> {
    return (await this.#server.log()).split("read ").length;
  }

  /** Waits for so many further questions for IPv4 addresses. */
  async asked(count: number): Promise<void> {
    const questions = async () => (await this.#server.log()).split("query[A]").length;
    const wanted = await questions() + count;
    await eventually(`${count} more questions`, async () => await questions() >= wanted);
  }

  /** Has it answer no more, or again. */
  kill(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#server.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.kill("SIGCONT");
    await this.#server[Symbol.asyncDispose]();
  }
}

function recordsText(records: Record<string, readonly string[]>): string {
  return Object.entries(records).flatMap(([name, addresses]) => addresses.map((one) => `${one} ${name}\n`)).join("");
}

/** nobody: PostgreSQL does not run as root. */
const USER = 65534;

/** A PostgreSQL server, on port 5432. */
export class PostgreSql implements AsyncDisposable {
  readonly #netns: Namespace;
  readonly #server: Server;
  /** The first of its addresses. */
  readonly #address: string;

  constructor(netns: Namespace, server: Server, address: string) {
    this.#netns = netns;
    this.#server = server;
    this.#address = address;
  }

  /** What it has written to its log file. */
  async log(): Promise<string> {
    return await this.#server.log();
  }

  /** Has it execute SQL, each text in a transaction of its own. */
  async execute(...commands: string[]): Promise<void> {
    const flags = ["--no-psqlrc", "--quiet", "--host", this.#address, "--username=postgres"];
    for (const command of commands) await this.#netns.exec(`${POSTGRESQL}/psql`, ...flags, "--command", command);
  }

  /** Starts a replica of it. */
  async replica(...addresses: string[]): Promise<PostgreSql> {
    return await startPostgreSql(this.#netns, addresses, (data) => {
      const flags = ["--pgdata", data, "--host", this.#address, "--username=postgres", "--write-recovery-conf"];
      return this.#netns.enter([`${POSTGRESQL}/pg_basebackup`, ...flags, "--checkpoint=fast"], { user: USER });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

/** Starts a PostgreSQL server on some addresses, which lets `postgres` in without a password. */
export async function postgresql(netns: Namespace, ...addresses: string[]): Promise<PostgreSql> {
  return await startPostgreSql(netns, addresses, (data) => {
    const as = ["setpriv", "--reuid", `${USER}`, "--regid", `${USER}`, "--clear-groups", "--"];
    const manner = ["--auth=trust", "--username=postgres", "--no-locale", "--encoding=UTF8", "--no-sync"];
    return [...as, `${POSTGRESQL}/initdb`, "-D", data, ...manner];
  });
}

/** @param makeData The command that makes a directory of data. */
async function startPostgreSql(
  netns: Namespace,
  addresses: readonly string[],
  makeData: (data: string) => string[],
): Promise<PostgreSql> {
  const directory = await Deno.makeTempDir({ prefix: "tcphup-test-" });
  await Deno.chown(directory, USER, USER);
  const data = `${directory}/data`;
  await run(makeData(data), { cwd: directory });
  // Clients of other hosts, too.
  const access = `${directory}/access`;
  await Deno.writeTextFile(access, ["all", "replication"].map((what) => `host ${what} all all trust\n`).join(""));
  const settings = {
    listen_addresses: addresses.join(","),
    hba_file: access,
    unix_socket_directories: "",
    fsync: "off",
    logging_collector: "on",
    log_directory: directory,
    log_filename: "log",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const child = netns.spawn([`${POSTGRESQL}/postgres`, "-D", data, ...options], { user: USER, cwd: directory });
  // SIGTERM would have it wait for its clients.
  const server = new Server(child, directory, "SIGINT");
  for (const address of addresses) await listens(netns, `${address}:5432`);
  // It listens while it still recovers, and refuses clients meanwhile: "the database system is starting up".
  await eventually("PostgreSQL takes clients", async () => {
    return /^(?:ready|standby) *$/m.test(await Deno.readTextFile(`${data}/postmaster.pid`));
  });
  return new PostgreSql(netns, server, addresses[0]!);
}
