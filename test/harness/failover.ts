// A failover in small: two hosts with the same servers, and programs with pools of connections to one of them, on a host of
// their own and in a pod there.

import { assert } from "@std/assert";
import { lines } from "../../scripts/lines.ts";
import { Namespace, type SpawnOptions } from "./namespace.ts";
import { denoProgram, pythonProgram } from "./peer.ts";
import { eventually, run } from "./process.ts";
import { haproxy, NameServer, nginx, postgresql, redis } from "./servers.ts";
import type { Need } from "./system.ts";

/** How many clients share a pool. */
export const CLIENTS = 4;
const CLIENT_NUMBERS = Array.from({ length: CLIENTS }, (_, number) => number);

/** How long it takes until something moves: --silent-for of the recipes has passed. */
const OUTAGE_MS = 2600;

/** No answer of a host that lives takes so long. */
const HANGING_MS = 500;

/** What all that is here takes. */
export const FAILOVER_NEEDS: readonly Need[] = [
  ...[
    "iptables",
    "postgresql",
    "setpriv",
    "psycopg",
    "psycopg2",
    "redis-server",
    "redis-py",
    "nginx",
    "haproxy",
  ] as const,
  ...["dnsmasq", "javac", "go"] as const,
];

/** Has a program in a network namespace see cgroup v2, which ip-netns(8) hides. */
export const WITH_CGROUPS: SpawnOptions = {
  within: ["sh", "-c", 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh"],
};

const NGINX = "127.0.0.1:8001";
const HAPROXY = "127.0.0.1:8002";

/** How the program of a pool is started, by the name of what has the pool. */
const POOLS = {
  "redis-py": python,
  psycopg2: python,
  psycopg: python,
  "node-postgres": deno,
  ioredis: deno,
  undici: deno,
  "net/http": (lab: Lab, kind: string, host: string) => [`${lab.directory}/pools`, kind, host, `${CLIENTS}`],
  HttpClient: java,
  nginx: (lab: Lab, kind: string) => python(lab, kind, NGINX),
  HAProxy: (lab: Lab, kind: string) => python(lab, kind, HAPROXY),
};

export type PoolKind = keyof typeof POOLS;

export const POOL_KINDS = Object.keys(POOLS) as PoolKind[];

/** The pools that keep the first answer to the name of their host. The others resolve it each time that they connect. */
export const CACHING: readonly PoolKind[] = ["HttpClient", "nginx", "HAProxy"];
export const RESOLVING: readonly PoolKind[] = POOL_KINDS.filter((kind) => !CACHING.includes(kind));

function python(_lab: Lab, kind: string, host: string): string[] {
  return pythonProgram("pools.py", kind, host, CLIENTS);
}

function deno(_lab: Lab, kind: string, host: string): string[] {
  return denoProgram("pools.ts", kind, host, CLIENTS);
}

function java(_lab: Lab, kind: string, host: string): string[] {
  const source = new URL("programs/Pools.java", import.meta.url).pathname;
  const flags = ["-XX:TieredStopAtLevel=1", "-Dsun.net.inetaddr.ttl=-1"];
  return ["java", ...flags, source, kind, host, `${CLIENTS}`];
}

/** A request of a client. Times are in milliseconds since 1970. */
interface Request {
  readonly client: number;
  readonly begin: number;
  /** Missing as long as it is under way. */
  readonly end?: number;
  /** Why it failed; null when it was answered. */
  readonly error?: string | null;
}

/** A program whose clients ask a server again and again, with a pool of connections. It ends with its namespace. */
export class Pool {
  readonly kind: PoolKind;
  readonly isInPod: boolean;
  readonly #child: Deno.ChildProcess;
  readonly #ended: Request[] = [];
  /** When each client began its last request. */
  readonly #begun: number[] = [];
  #rests = 0;
  /** What a program that has ended said. */
  #complaint: string | null = null;

  constructor(lab: Lab, netns: Namespace, kind: PoolKind, host: string) {
    this.kind = kind;
    this.isInPod = netns === lab.pod;
    this.#child = netns.spawn(POOLS[kind](lab, kind, host));
    void this.#read();
  }

  async #read(): Promise<void> {
    const stderr = new Response(this.#child.stderr).text();
    for await (const line of lines(this.#child.stdout)) {
      const said: Request & { resting?: true } = JSON.parse(line);
      if (said.resting) this.#rests++;
      else if (said.end === undefined) this.#begun[said.client] = said.begin;
      else this.#ended.push(said);
    }
    this.#complaint = await stderr;
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    await eventually(`${this.kind} ${what}`, () => {
      if (this.#complaint !== null) throw new Error(`${this.kind} has ended: ${this.#complaint}`);
      return condition();
    });
  }

  async #tell(line: string): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${line}\n`));
    writer.releaseLock();
  }

  /** Has its clients ask no more, and waits until none does. */
  async rest(): Promise<void> {
    const rests = this.#rests;
    await this.#tell("pause");
    await this.#until("rests", () => this.#rests > rests);
  }

  /** Has its clients ask again. */
  async goOn(): Promise<void> {
    await this.#tell("go");
  }

  /** Waits until each client has been waiting for an answer for a while. */
  async hangs(): Promise<void> {
    const isWaiting = (client: number) => {
      const begin = this.#begun[client];
      const answered = this.#ended.findLast((request) => request.client === client);
      return begin !== undefined && answered?.begin !== begin && Date.now() - begin > HANGING_MS;
    };
    await this.#until("waits, each client", () => CLIENT_NUMBERS.every(isWaiting));
  }

  /** Returns when the last client got its first answer since then, or null as long as one waits for it. */
  servedAt(since: number): number | null {
    const answers = this.#answers(since);
    const first = CLIENT_NUMBERS.map((number) => answers.find(({ client }) => client === number));
    return first.every((answer) => answer !== undefined) ? Math.max(...first.map(({ end }) => end!)) : null;
  }

  /** Waits until each client has had an answer since then. */
  async served(since: number): Promise<void> {
    await this.#until("is served, each client", () => this.servedAt(since) !== null);
  }

  /**
   * Fails if each client has had an answer since then. One may: where it was about to connect when the host died, its next
   * SYN reaches the other one.
   */
  assertNotServed(since: number): void {
    assert(this.servedAt(since) === null, `${this.kind} gets over it by itself`);
  }

  /** Why requests failed that were begun since then. */
  failures(since: number): string[] {
    return this.#ended.filter(({ begin, error }) => begin >= since && error !== null).map(({ error }) => error!);
  }

  #answers(since: number): Request[] {
    return this.#ended.filter(({ end, error }) => error === null && end! >= since);
  }
}

/** A host with nginx, Redis and PostgreSQL. */
class Host {
  readonly netns: Namespace;
  /** Its own address. */
  readonly address: string;
  /** Whether it drops what belongs to no connection that it knows; else it resets that, as Linux does by itself. */
  readonly drops: boolean;
  #isDead = false;

  constructor(netns: Namespace, address: string, drops: boolean) {
    this.netns = netns;
    this.address = address;
    this.drops = drops;
  }

  /** Starts its servers. */
  async serve(stack: AsyncDisposableStack): Promise<void> {
    if (this.drops) {
      await this.#drop("--append", "INPUT", "!", "--syn", "--match", "conntrack", "--ctstate", "NEW,INVALID");
    }
    const http = `keepalive_timeout 1h; keepalive_requests 1000000; server { listen 80; return 200 "hello"; }`;
    stack.use(await nginx(this.netns, "0.0.0.0:80", http));
    stack.use(await redis(this.netns, "0.0.0.0"));
    stack.use(await postgresql(this.netns, "0.0.0.0"));
  }

  /** Has nothing come in or go out, as if it were dead. */
  async die(): Promise<void> {
    this.#isDead = true;
    for (const chain of ["INPUT", "OUTPUT"]) await this.#drop("--insert", chain);
  }

  async revive(): Promise<void> {
    if (!this.#isDead) return;
    this.#isDead = false;
    // As after a boot, where the kernel can do that.
    await this.netns.exec("ss", "--kill", "--tcp", "state", "connected");
    for (const chain of ["INPUT", "OUTPUT"]) await this.#drop("--delete", chain);
  }

  async #drop(action: string, chain: string, ...which: string[]): Promise<void> {
    await this.netns.exec("iptables", "--wait", action, chain, "--protocol", "tcp", ...which, "--jump", "DROP");
  }
}

/** The hosts, the programs' host and a pod of it. */
export class Lab implements AsyncDisposable {
  /** Where the programs run. */
  readonly netns: Namespace;
  readonly pod: Namespace;
  /** The first one resets what it does not know, the second one drops it. */
  readonly hosts: readonly [Host, Host];
  /** For what is made to run here. */
  readonly directory: string;
  readonly pools: Pool[] = [];
  readonly #network: string;
  readonly #stack: AsyncDisposableStack;
  #active: Host;

  private constructor(
    parts: Pick<Lab, "netns" | "pod" | "hosts" | "directory"> & { network: string; stack: AsyncDisposableStack },
  ) {
    this.netns = parts.netns;
    this.pod = parts.pod;
    this.hosts = parts.hosts;
    this.directory = parts.directory;
    this.#network = parts.network;
    this.#stack = parts.stack;
    this.#active = this.hosts[0];
  }

  static async create(): Promise<Lab> {
    await using stack = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir({ prefix: "tcphup-test-" });
    stack.defer(() => Deno.remove(directory, { recursive: true }));
    const make = async () => stack.use(await Namespace.create());
    const [netns, pod, first, second] = [await make(), await make(), await make(), await make()];
    // A network of its own, since --netns all reaches every network namespace of the machine.
    const [high, low] = crypto.getRandomValues(new Uint8Array(2));
    const network = `10.${high}.${low}`;
    const neighbors: [Namespace, string][] = [[first, "first"], [second, "second"], [pod, "pod"]];
    for (const [i, [other, device]] of neighbors.entries()) {
      await netns.link(other, [`${network}.${4 * i + 1}/30`], [`${network}.${4 * i + 2}/30`], device);
      await other.exec("ip", "route", "add", "default", "via", `${network}.${4 * i + 1}`);
    }
    await netns.exec("sysctl", "-qw", "net.ipv4.ip_forward=1");
    const hosts = [new Host(first, `${network}.2`, false), new Host(second, `${network}.6`, true)] as const;
    const lab = new Lab({ netns, pod, hosts, directory, network, stack: stack.move() });
    try {
      await lab.#start();
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
    return lab;
  }

  async #start(): Promise<void> {
    await this.netns.exec("ip", "address", "add", `${this.#source}/32`, "dev", "lo");
    for (const { netns } of this.hosts) await netns.exec("ip", "address", "add", `${this.address}/32`, "dev", "lo");
    await this.#route();
    const source = new URL("programs/pools.go", import.meta.url).pathname;
    // net/http takes the compiler long, so that what it keeps in the home directory is used again.
    const cache: Record<string, string> = Deno.env.has("HOME") ? {} : { GOCACHE: `${this.directory}/cache` };
    const env = { CGO_ENABLED: "0", GOTOOLCHAIN: "local", ...cache };
    await run(["go", "build", "-o", `${this.directory}/pools`, source], { env });
    await Promise.all(this.hosts.map((host) => host.serve(this.#stack)));
  }

  /** The address that moves from one host to the other, which only this lab has. */
  get address(): string {
    return `${this.#network}.100`;
  }

  /** The address of the programs' host, wherever the other one is. */
  get #source(): string {
    return `${this.#network}.99`;
  }

  /** Has the address be the active host's, as routers do after a failover, or ARP in a network. */
  async #route(): Promise<void> {
    const { address } = this.#active;
    await this.netns.exec("ip", "route", "replace", this.address, "via", address, "src", this.#source);
  }

  /** The host that the address has moved to; the first one at the beginning. */
  get active(): Host {
    return this.#active;
  }

  /** Starts a name server, and has what starts from then on resolve names by it. */
  async nameServer(records: Record<string, readonly string[]>): Promise<NameServer> {
    return this.#stack.use(await NameServer.start(this.netns, records));
  }

  /** Starts programs on the host, or in the pod, and waits until they are served. */
  async startPools(kinds: readonly PoolKind[], host: string, netns: Namespace = this.netns): Promise<void> {
    if (kinds.includes("nginx")) {
      const upstream = `upstream back { server ${host}:80; keepalive ${CLIENTS}; }`;
      const location = `proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection "";`;
      this.#stack.use(
        await nginx(netns, NGINX, `${upstream} server { listen ${NGINX}; location / { ${location} } }`),
      );
    }
    if (kinds.includes("HAProxy")) {
      const sections = [
        "defaults\n  mode http\n  timeout connect 60s\n  timeout client 60s\n  timeout server 60s\n",
        `frontend front\n  bind ${HAPROXY}\n  default_backend back\n`,
        `backend back\n  http-reuse always\n  server host ${host}:80\n`,
      ];
      this.#stack.use(await haproxy(netns, HAPROXY, sections.join("")));
    }
    const begin = Date.now();
    const pools = kinds.map((kind) => new Pool(this, netns, kind, host));
    this.pools.push(...pools);
    for (const pool of pools) await pool.served(begin);
  }

  /** Moves the address to the other host. */
  async moveAddress(): Promise<void> {
    this.#active = this.hosts.find((host) => host !== this.#active)!;
    await this.#active.revive();
    await this.#route();
  }

  /**
   * Has the host where the address is die, and then, seconds later, something move to the other host, and something act.
   *
   * @param isIdle Whether the clients rest from before until after that; else each waits for an answer.
   * @returns When `act` was called.
   */
  async failOver(isIdle: boolean, move: () => Promise<void>, act: () => Promise<void>): Promise<number> {
    if (isIdle) await Promise.all(this.pools.map((pool) => pool.rest()));
    await this.#active.die();
    await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS));
    if (!isIdle) { for (const pool of this.pools) await pool.hangs(); }
    await move();
    const call = Date.now();
    await act();
    if (!isIdle) return call;
    // What answers has seen what became of its connections, on a machine with much to do too.
    await Promise.all(this.pools.map((pool) => pool.rest()));
    for (const pool of this.pools) await pool.goOn();
    return call;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}
