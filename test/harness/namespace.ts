// A network namespace of a test's own, as ip-netns(8) makes them, and the programs that run in it.

import { toCommand } from "../../scripts/process.ts";
import { type Output, run } from "./process.ts";

export interface SpawnOptions {
  /** The numeric user and group that the program runs as; root when left out. */
  user?: number;
  /** Capabilities that the program lacks although it is root's: `net_admin`. */
  without?: readonly string[];
  /** A command that runs the program, in other namespaces of other kinds: `nsenter --target 42 --pid`. */
  within?: readonly string[];
  env?: Record<string, string>;
  cwd?: string;
}

/** A network namespace with loopback up. Disposing of it ends whatever runs in it. */
export class Namespace implements AsyncDisposable {
  readonly name = `tcphup-test-${crypto.randomUUID().slice(0, 8)}`;
  readonly #children: Deno.ChildProcess[] = [];

  private constructor() {}

  static async create(): Promise<Namespace> {
    const namespace = new Namespace();
    await run(["ip", "netns", "add", namespace.name]);
    await namespace.exec("ip", "link", "set", "lo", "up");
    return namespace;
  }

  /** The command that runs `command` in here. The process started is `command` itself: what stands before it execs. */
  enter(command: readonly string[], { user, without, within = [] }: SpawnOptions = {}): string[] {
    const identity = user === undefined ? [] : ["--reuid", `${user}`, "--regid", `${user}`, "--clear-groups"];
    const lost = without?.map((capability) => `-${capability}`).join(",");
    const capabilities = lost ? ["--bounding-set", lost, "--inh-caps", lost] : [];
    const setpriv = user === undefined && !lost ? [] : ["setpriv", ...identity, ...capabilities, "--"];
    return ["ip", "netns", "exec", this.name, ...within, ...setpriv, ...command];
  }

  /** Runs a program to its end and returns its standard output; throws when it fails. */
  async exec(...command: string[]): Promise<string> {
    return (await run(this.enter(command))).stdout;
  }

  /** Runs a program to its end, whatever that is. */
  async run(command: readonly string[], options: SpawnOptions = {}): Promise<Output> {
    return await run(this.enter(command, options), { ...options, mayFail: true });
  }

  /** Starts a program, with pipes for its three standard streams. It ends with the namespace at the latest. */
  spawn(command: readonly string[], options: SpawnOptions = {}): Deno.ChildProcess {
    const { env, cwd } = options;
    const pipes = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    const child = toCommand(this.enter(command, options), { env, cwd, ...pipes }).spawn();
    this.#children.push(child);
    return child;
  }

  /**
   * Joins two namespaces by a veth pair, which carries the given addresses, in CIDR notation, of each end.
   *
   * @param device The name of the end here; the other one is called veth.
   */
  async link(other: Namespace, here: readonly string[], there: readonly string[], device = "veth"): Promise<void> {
    await this.exec("ip", "link", "add", device, "type", "veth", "peer", "name", "veth", "netns", other.name);
    for (const [namespace, addresses, name] of [[this, here, device], [other, there, "veth"]] as const) {
      // Link-local addresses would take a second to come up, and hold back neighbour discovery meanwhile.
      await namespace.exec("ip", "link", "set", name, "addrgenmode", "none");
      for (const address of addresses) await namespace.exec("ip", "address", "add", address, "dev", name, "nodad");
      await namespace.exec("ip", "link", "set", name, "up");
    }
  }

  /**
   * Takes `address` away from `other`, as a virtual IP moves off a host: what is sent to it from here is neither answered
   * nor refused from then on. Its link-layer address stays known, as to a host that has a router in between.
   */
  async silence(address: string, other: Namespace): Promise<void> {
    const [{ address: lladdr }] = JSON.parse(await other.exec("ip", "-json", "link", "show", "veth"));
    await this.exec("ip", "neighbour", "replace", address, "lladdr", lladdr, "nud", "permanent", "dev", "veth");
    // A host that forwards, as a new namespace does where this one does, would tell that the address cannot be reached.
    await other.exec("sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/veth/forwarding");
    await other.exec("ip", "address", "flush", "dev", "veth", "to", address);
  }

  /** Gives the programs in here a file of their own in place of /etc/hosts. What runs already has it if it had one. */
  async hosts(lines: readonly string[]): Promise<void> {
    await this.#writeEtc("hosts", lines);
  }

  /** Has the programs in here resolve names by /etc/hosts, and then by the name server at `address`. */
  async nameServer(address: string, options = "timeout:1 attempts:1"): Promise<void> {
    await this.hosts(["127.0.0.1 localhost"]);
    await this.#writeEtc("resolv.conf", [`nameserver ${address}`, `options ${options}`]);
    // systemd-resolved, where the host has it, is asked through a socket that is no network's.
    await this.#writeEtc("nsswitch.conf", ["hosts: files dns"]);
  }

  async #writeEtc(name: string, lines: readonly string[]): Promise<void> {
    await Deno.mkdir(this.#etc, { recursive: true });
    await Deno.writeTextFile(`${this.#etc}/${name}`, lines.join("\n") + "\n");
  }

  /** How many TCP segments with RST have left from here so far: OutRsts. */
  async resetsSent(): Promise<number> {
    return await this.#counter("OutRsts");
  }

  /** How many connections, on this host, came to an end by a RST before they were closed: EstabResets. */
  async connectionsReset(): Promise<number> {
    return await this.#counter("EstabResets");
  }

  /** A counter of /proc/net/snmp. */
  async #counter(name: string): Promise<number> {
    const snmp = await this.exec("cat", "/proc/net/snmp");
    const [names = [], values = []] = snmp.split("\n").filter((line) => line.startsWith("Tcp:")).map((line) =>
      line.split(" ")
    );
    return Number(values[names.indexOf(name)]);
  }

  /** What `ss -tnH` with these arguments lists, a line a socket. */
  async ss(...args: string[]): Promise<string[]> {
    return (await this.exec("ss", "-tnHO", ...args)).split("\n").filter((line) => line !== "");
  }

  get #etc(): string {
    return `/etc/netns/${this.name}`;
  }

  /**
   * The processes that live in here with all of their threads. tcphup's of other tests, with `--netns all`, may be passing
   * through with one of theirs.
   */
  async pids(): Promise<number[]> {
    const { stdout } = await run(["ip", "netns", "pids", this.name]);
    const pids = stdout.split("\n").filter((line) => line !== "").map(Number);
    const { ino } = await Deno.stat(`/run/netns/${this.name}`);
    return pids.filter((pid) => threadNamespaces(pid).every((netns) => netns === `net:[${ino}]`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pid of await this.pids()) end(pid);
    for (const child of this.#children) {
      // One that has gone to live in another namespace.
      end(child.pid);
      if (!child.stdin.locked) await child.stdin.close().catch(() => {});
      for (const stream of [child.stdout, child.stderr]) if (!stream.locked) await stream.cancel();
      await child.status;
    }
    await run(["ip", "netns", "delete", this.name]);
    await Deno.remove(this.#etc, { recursive: true }).catch(() => {});
  }
}

/** An address of loopback that no other test uses: whoever looks at the whole host finds nobody else's connections there. */
export function uniqueAddress(): string {
  const [a, b, c = 0] = crypto.getRandomValues(new Uint8Array(3));
  return `127.${a}.${b}.${c % 253 + 2}`;
}

/** The network namespaces of a process's threads, as /proc has them; none when it has gone, or is about to. */
function threadNamespaces(pid: number): string[] {
  try {
    const threads = [...Deno.readDirSync(`/proc/${pid}/task`)];
    return threads.map(({ name }) => Deno.readLinkSync(`/proc/${pid}/task/${name}/ns/net`));
  } catch {
    return [];
  }
}

function end(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
