// An application with TCP connections that a test drives: programs/peer.py, a command a line.

import { assertEquals } from "@std/assert";
import type { JsonDocument } from "../../src/cli/output/json.ts";
import type { Keepalive } from "../../src/model/connection.ts";
import { Dialogue } from "./lines.ts";
import { PYTHON } from "./needs.ts";
import type { Namespace, SpawnOptions } from "./namespace.ts";
import { type Output, outputOf } from "./process.ts";

/** The command that runs a text as a program of Python. */
export function python(source: string, ...args: (string | number)[]): string[] {
  return [PYTHON, "-c", source, ...args.map(String)];
}

/** The command that runs one of our programs. It goes by its text: the file is perhaps not every user's to read. */
export function pythonProgram(name: string, ...args: (string | number)[]): string[] {
  return python(Deno.readTextFileSync(new URL(`programs/${name}`, import.meta.url)), ...args);
}

/** The command that runs one of our programs with packages of npm, each as deno.lock has it. */
export function denoProgram(name: string, ...args: (string | number)[]): string[] {
  const [path, lock] = [`programs/${name}`, "../../deno.lock"].map((one) => new URL(one, import.meta.url).pathname);
  const flags = ["--quiet", "--no-prompt", "--no-config", `--lock=${lock}`, "--frozen", "--allow-all"];
  return [Deno.execPath(), "run", ...flags, path!, ...args.map(String)];
}

export type Protocol = "tcp" | "mptcp";

export interface ConnectOptions {
  count?: number;
  protocol?: Protocol;
  /** The local address. */
  source?: string;
  /** The number that the first connection's descriptor is to have. */
  descriptor?: number;
  /** Whether the application connects anew whenever a connection ends. */
  reconnect?: boolean;
}

/** What the application has seen of one connection. */
export interface Seen {
  /** Bytes received. */
  received: number;
  /** How the connection ended: `EOF` or the name of an errno; several times over for one that reconnects. */
  ends: string[];
}

/** Some of an application's connections. */
export class Connections {
  readonly #peer: Peer;
  readonly #numbers: number[];
  /** The application's port of each; of accepted ones, the other side's. */
  readonly ports: number[];

  constructor(peer: Peer, pairs: [number, number][]) {
    this.#peer = peer;
    this.#numbers = pairs.map(([number]) => number);
    this.ports = pairs.map(([, port]) => port);
  }

  /** Those of them that have one of these ports. */
  only(ports: readonly number[]): Connections {
    const pairs = this.ports.map((port, i) => [this.#numbers[i], port] as [number, number]);
    return new Connections(this.#peer, pairs.filter(([, port]) => ports.includes(port)));
  }

  /** Waits until all have ended; how each did. */
  async ended(): Promise<string[]> {
    return await this.#peer.request("ended", { numbers: this.#numbers }) as string[];
  }

  async seen(): Promise<Seen[]> {
    return await this.#peer.request("seen", { numbers: this.#numbers }) as Seen[];
  }

  /** Fails unless each carries data there and back, and has never ended. */
  async assertAlive(): Promise<void> {
    const echoes = await this.#peer.request("echo", { numbers: this.#numbers });
    assertEquals(echoes, this.#numbers.map(() => "alive"));
  }

  /** Fails if one of them has ended: for those that cannot carry data. */
  async assertUnended(): Promise<void> {
    assertEquals((await this.seen()).map(({ ends }) => ends), this.#numbers.map(() => []));
  }

  /** Fails unless each ends, or has ended, in this way. */
  async assertEnded(how: string): Promise<void> {
    assertEquals(await this.ended(), this.#numbers.map(() => how));
  }

  /** Sends a text on each; the errno's name, or null, for each. */
  async send(text: string): Promise<(string | null)[]> {
    return await this.#peer.request("send", { numbers: this.#numbers, text }) as (string | null)[];
  }

  /** Leaves what arrives in the socket. */
  async stopReading(): Promise<void> {
    await this.#peer.request("stop_reading", { numbers: this.#numbers });
  }

  async goOnReading(): Promise<void> {
    await this.#peer.request("go_on_reading", { numbers: this.#numbers });
  }

  /** Whether each has an error that its next call will return (POLLERR). */
  async failing(): Promise<boolean[]> {
    return await this.#peer.request("failing", { numbers: this.#numbers }) as boolean[];
  }

  /** Has the application set keepalive. */
  async setKeepalive(values: Partial<JsonDocument<Keepalive>>): Promise<void> {
    await this.#peer.request("set_keepalive", { numbers: this.#numbers, ...values });
  }

  /** What getsockopt(2) says to the application itself. */
  async keepalive(): Promise<JsonDocument<Keepalive>[]> {
    return await this.#peer.request("keepalive", { numbers: this.#numbers }) as JsonDocument<Keepalive>[];
  }

  /** SO_MARK. */
  async setMark(mark: number): Promise<void> {
    await this.#peer.request("set_mark", { numbers: this.#numbers, mark });
  }

  /** SO_BINDTODEVICE. */
  async bindToDevice(device: string): Promise<void> {
    await this.#peer.request("bind_to_device", { numbers: this.#numbers, device });
  }

  /** Has the application dissolve each, and connect the same socket to another peer or, without one, listen on its port. */
  async reuse(peer?: { address: string; port: number }): Promise<void> {
    await this.#peer.request("reuse", { numbers: this.#numbers, ...peer });
  }

  async close(): Promise<void> {
    await this.#peer.request("close", { numbers: this.#numbers });
  }

  /** Sends the descriptors over a local socket (SCM_RIGHTS), out of which nobody takes them. */
  async putInFlight(): Promise<void> {
    await this.#peer.request("put_in_flight", { numbers: this.#numbers });
  }
}

/** A running application: a pool of clients, a server that echoes, or both. */
export class Peer {
  readonly #program: Dialogue;

  private constructor(program: Dialogue) {
    this.#program = program;
  }

  static start(namespace: Namespace, options: SpawnOptions = {}): Peer {
    return new Peer(new Dialogue(namespace.spawn(pythonProgram("peer.py"), options), "peer.py"));
  }

  get pid(): number {
    return this.#program.pid;
  }

  /** Sends one command of peer.py and waits for its reply. Throws what the program reports as an error. */
  async request(command: string, args: Record<string, unknown> = {}): Promise<unknown> {
    return await this.#program.request(command, args);
  }

  /** Listens, and echoes what it is sent on the connections that it accepts; `[::]` takes IPv4 too. */
  async listen(
    address: string,
    port: number,
    options: { protocol?: Protocol; accept?: boolean } = {},
  ): Promise<void> {
    await this.request("listen", { address, port, ...options });
  }

  /** Accepts, from now on, also on listeners that did not. */
  async startAccepting(): Promise<void> {
    await this.request("start_accepting");
  }

  async connect(address: string, port: number, options: ConnectOptions = {}): Promise<Connections> {
    return this.#connections(await this.request("connect", { address, port, ...options }));
  }

  /** Opens a connection and does not wait for the other end's answer. */
  async beginConnect(address: string, port: number): Promise<Connections> {
    return this.#connections(await this.request("begin_connect", { address, port }));
  }

  /** Begins a connection from an address that is not the host's, with IP_TRANSPARENT. */
  async connectTransparently(address: string, port: number, source: string): Promise<Connections> {
    return this.#connections(await this.request("connect_transparently", { address, port, source }));
  }

  /** Opens a connection in a thread that has a descriptor table of its own. */
  async connectInThread(address: string, port: number): Promise<Connections> {
    return this.#connections(await this.request("connect_in_thread", { address, port }));
  }

  /** The connections that it accepted and that are open, once there are `count`. */
  async serving(count: number): Promise<Connections> {
    return this.#connections(await this.request("serving", { count }));
  }

  /** What getsockopt(2) says to the application of the sockets that it listens on. */
  async keepaliveOfListeners(): Promise<JsonDocument<Keepalive>[]> {
    return await this.request("keepalive_of_listeners") as JsonDocument<Keepalive>[];
  }

  /** Forks a child that holds the same sockets; its process id. */
  async fork(options: { uid?: number; dumpable?: boolean } = {}): Promise<number> {
    return await this.request("fork", options) as number;
  }

  /** Has the application live in a network namespace of its own. Its sockets stay where they were opened. */
  async leaveNetns(): Promise<void> {
    await this.request("leave_netns");
  }

  /** prctl(PR_SET_DUMPABLE): a process that is not dumpable may be traced by nobody without privilege. */
  async setDumpable(dumpable: boolean): Promise<void> {
    await this.request("set_dumpable", { dumpable });
  }

  /** Gives the process the name that /proc/PID/comm shows. U+DC80 to U+DCFF stand for bytes that are not UTF-8. */
  async setName(name: string): Promise<void> {
    await this.request("set_name", { name });
  }

  /** Runs a program as the application's child. */
  async run(command: readonly string[]): Promise<Output> {
    return await this.request("run", { command }) as Output;
  }

  /** Ends the application, and with it its connections. */
  async end(): Promise<void> {
    await this.#program.end();
  }

  #connections(pairs: unknown): Connections {
    return new Connections(this, pairs as [number, number][]);
  }
}

/** A program of ours that runs until it is told to end, and then tells in JSON what it saw. */
export class Program<Report> {
  readonly #child: Deno.ChildProcess;
  readonly #name: string;

  constructor(namespace: Namespace, name: string, ...args: (string | number)[]) {
    this.#name = name;
    this.#child = namespace.spawn(pythonProgram(name, ...args));
  }

  async end(): Promise<Report> {
    await this.#child.stdin.close();
    const { code, stdout, stderr } = await outputOf(this.#child, [this.#name]);
    if (code !== 0) throw new Error(`${this.#name} failed with ${code}: ${stderr}`);
    return JSON.parse(stdout);
  }
}
