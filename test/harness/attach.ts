// `tcphup keepalive --attach` in tests: on control groups of their own, since what is attached to the root would set the
// connections of everybody on this host.

import { assertEquals } from "@std/assert";
import { Cgroup } from "./cgroup.ts";
import { UNTOUCHED } from "./keepalive.ts";
import { Lines } from "./lines.ts";
import { Namespace, type SpawnOptions } from "./namespace.ts";
import { Peer } from "./peer.ts";
import { type Output, run } from "./process.ts";
import { type Run, TCPHUP, tcphup, type TcphupOptions } from "./tcphup.ts";

/** What the mounts of a place lack, or have. */
export interface PlaceOptions {
  bpffs?: boolean;
  cgroup?: boolean;
}

/**
 * A mount namespace with cgroup v2, which ip-netns(8) hides, and a bpffs of its own; and a control group, for programs in
 * a network namespace.
 */
export class Place implements AsyncDisposable {
  readonly netns: Namespace;
  readonly cgroup: Cgroup;
  readonly #mounts: Deno.ChildProcess;

  private constructor(netns: Namespace, cgroup: Cgroup, mounts: Deno.ChildProcess) {
    this.netns = netns;
    this.cgroup = cgroup;
    this.#mounts = mounts;
  }

  static async make(netns: Namespace, { bpffs = true, cgroup = true }: PlaceOptions = {}): Promise<Place> {
    const script = [
      "umount --all --lazy --types bpf",
      ...(bpffs ? ["mount -t bpf bpf /sys/fs/bpf"] : []),
      ...(cgroup ? [] : ["umount --all --lazy --types cgroup2"]),
      "echo ready",
      "exec cat",
    ].join("\n");
    const args = ["--mount", "--propagation", "private", "sh", "-c", script];
    const mounts = new Deno.Command("unshare", { args, stdin: "piped", stdout: "piped" }).spawn();
    await using lines = new Lines(mounts.stdout);
    await lines.next(1);
    return new Place(netns, await Cgroup.create(Cgroup.uniqueName()), mounts);
  }

  /** Options of a program that sees the mounts and, with a control group, starts in it. */
  inside(cgroup?: Cgroup): SpawnOptions & { within: string[] } {
    const within = ["nsenter", `--mount=/proc/${this.#mounts.pid}/ns/mnt`];
    if (cgroup) within.push("sh", "-c", `echo $$ >${cgroup.directory}/cgroup.procs && exec "$@"`, "sh");
    return { within };
  }

  /** Runs tcphup to its end. */
  async tcphup(args: readonly string[], options: Omit<TcphupOptions, "netns"> = {}): Promise<Run> {
    return await tcphup(args, { netns: this.netns, ...this.inside(), ...options });
  }

  /** Starts `tcphup keepalive --attach` on a control group, for one network namespace, and waits until it is attached. */
  async attach(args: readonly string[], cgroup?: Cgroup): Promise<Attached> {
    const where = args.includes("--netns") ? [] : ["--netns", this.netns.name];
    return await this.attachEverywhere([...args, ...where], cgroup);
  }

  /** The same for all network namespaces, which takes longer: this host may have many. */
  async attachEverywhere(args: readonly string[], cgroup: Cgroup = this.cgroup): Promise<Attached> {
    const command = [...TCPHUP, "keepalive", ...args, "--attach", "--cgroup", cgroup.path];
    const attached = new Attached(this.netns.spawn(command, this.inside()));
    await attached.untilAttached();
    return attached;
  }

  /** Starts `tcphup hup` with --refuse or --redirect on a control group, and waits until it is in force. */
  async divert(args: readonly string[], cgroup: Cgroup = this.cgroup): Promise<Attached> {
    const diverting = new Attached(this.netns.spawn([...TCPHUP, ...args, "--cgroup", cgroup.path], this.inside()));
    await diverting.untilLine("connects are ");
    return diverting;
  }

  /** Runs a program to its end that sees the mounts. */
  async run(command: readonly string[]): Promise<Output> {
    return await run(this.netns.enter(command, this.inside()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mounts.stdin?.close();
    await this.#mounts.status;
    await this.cgroup[Symbol.asyncDispose]();
  }
}

/** What the manifest and the unit set. */
const VALUES = { enabled: true, idle_s: 60, interval_s: 10, count: 6, user_timeout_ms: 120_000 };

/**
 * Fails unless a program attaches to a place's control group, and sets keepalive on what the applications of two pods open
 * and accept from then on, and on nothing else. Returns what it had to say at its end.
 *
 * @param command Starts tcphup. It sees the mounts of the place.
 */
export async function assertSetsInPods(place: Place, command: readonly string[]): Promise<Output> {
  await using other = await Namespace.create();
  const pods = [place.netns, other].map((netns, user) => {
    const options = { ...place.inside(place.cgroup), ...(user === 0 ? {} : { user: 12347 }) };
    return { server: Peer.start(netns, options), client: Peer.start(netns, options) };
  });
  const connect = async () => {
    const found = [];
    for (const { client } of pods) found.push(...await (await client.connect("127.0.0.2", 8000)).keepalive());
    return found;
  };
  for (const { server } of pods) await server.listen("127.0.0.2", 8000);
  const before = await pods[0]!.client.connect("127.0.0.2", 8000);
  await using attached = new Attached(place.netns.spawn(command, place.inside()));
  assertEquals(
    await attached.untilAttached(),
    `attached to the control group ${place.cgroup.path}: new connections get it, until interrupted`,
  );
  assertEquals(await connect(), [VALUES, VALUES]);
  assertEquals(await (await pods[1]!.server.serving(1)).keepalive(), [VALUES]);
  assertEquals(await before.keepalive(), [UNTOUCHED]);
  const end = await attached.end();
  assertEquals(await connect(), [UNTOUCHED, UNTOUCHED]);
  return end;
}

/** A tcphup that has attached its program. Disposing of it interrupts it. */
export class Attached implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: Lines;
  readonly #complaints: Promise<string>;
  #ended = false;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#lines = new Lines(child.stdout);
    this.#complaints = new Response(child.stderr).text();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits for the line that says that it is attached. */
  async untilAttached(): Promise<string> {
    return await this.untilLine("attached to ");
  }

  /** Waits for a line that begins so. */
  async untilLine(start: string): Promise<string> {
    for (;;) {
      const [line = ""] = await this.#lines.next(1);
      if (line.startsWith(start)) return line;
    }
  }

  /** Ends it, or waits for its end without a signal. Returns what it had still to say. */
  async end(signal: Deno.Signal | null = "SIGTERM"): Promise<Output> {
    this.#ended = true;
    if (signal !== null) this.#child.kill(signal);
    const [rest, stderr] = await Promise.all([this.#lines.rest(), this.#complaints]);
    const { code } = await this.#child.status;
    return { code, stdout: rest.map((line) => `${line}\n`).join(""), stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) await this.end();
  }
}
