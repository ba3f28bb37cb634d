// Where tcphup is tortured: processes that hold connections, in namespaces where nothing else lives.
//
// Everything here runs as one of the first processes of a PID, mount and network namespace: see ../torture.ts.

import type { JsonDocument } from "../../src/cli/output/json.ts";
import type { KeepaliveSettings } from "../../src/model/connection.ts";
import { PYTHON } from "../../test/harness/needs.ts";
import { commandLine } from "../../test/harness/process.ts";
import { Dialogue } from "../../test/harness/lines.ts";
import { toCommand } from "../process.ts";

/** What the holder of a connection sees of it. */
export interface Seen {
  /** The peer. */
  address: string;
  dport: number;
  /** The local port of the end that a selection by peer finds. */
  port: number;
  /** How it ended: `EOF` or the name of an errno; null as long as it carries data both ways. */
  end: string | null;
  client: JsonDocument<KeepaliveSettings>;
  server: JsonDocument<KeepaliveSettings>;
}

/** What all holders see. */
export interface View {
  pairs: Seen[];
  listeners: JsonDocument<KeepaliveSettings>[];
}

/** What a command left behind. */
export interface Ended {
  /** The exit status; 128 + n after signal n. */
  code: number;
  signal: string | null;
  stdout: string;
  stderr: string;
  /** Whether it did not end by itself, and was killed. */
  hung: boolean;
}

/** How many connections of each kind every process holds, unless said otherwise. */
const FEW = 3;
/** By when a command has ended, unless something is broken. */
const DEADLINE_MS = 40_000;
/** By when what a command has started is gone with it. */
const STRAY_MS = 3000;

/** The network namespace beside the one that commands are started in. */
const OTHER = "torture-other";

/** The processes that hold connections: two here, one in the other network namespace. */
export class World implements AsyncDisposable {
  readonly #holders: Dialogue[];
  readonly #known: ReadonlySet<number>;

  private constructor(holders: Dialogue[]) {
    this.#holders = holders;
    this.#known = new Set(processes());
  }

  static async open(): Promise<World> {
    const program = `${import.meta.dirname}/holder.py`;
    const there = ["ip", "netns", "exec", OTHER];
    const holders = [[], [], there].map((enter, i) => {
      return Dialogue.start([...enter, PYTHON, program, `${i + 1}`], "holder.py");
    });
    for (const holder of holders) await holder.line();
    return new World(holders);
  }

  /** Makes every connection alive, and as it was, again. */
  async reset(count = FEW): Promise<void> {
    this.endStrays();
    await this.#ask(`reset ${count}`);
  }

  async look(): Promise<View> {
    const views: View[] = (await this.#ask("look")).map((line) => JSON.parse(line));
    return { pairs: views.flatMap(({ pairs }) => pairs), listeners: views.flatMap(({ listeners }) => listeners) };
  }

  async #ask(question: string): Promise<string[]> {
    for (const holder of this.#holders) await holder.tell(question);
    return await Promise.all(this.#holders.map((holder) => holder.line()));
  }

  /** Processes that a command has left behind. */
  strays(): number[] {
    return processes().filter((pid) => !this.#known.has(pid));
  }

  /** Waits until no command has left anything behind, and ends what is still there after a while. Says what that was. */
  async strayed(): Promise<string[]> {
    const deadline = performance.now() + STRAY_MS;
    while (this.strays().length > 0 && performance.now() < deadline) await pause(5);
    const strays = this.strays().map((pid) => `${pid} (${commandLine(pid).join(" ").trim()}) is left behind`);
    this.endStrays();
    return strays.filter((stray) => !stray.includes("(strace "));
  }

  readonly endStrays = (): void => {
    for (const pid of this.strays()) kill(pid, "SIGKILL");
  };

  async [Symbol.asyncDispose](): Promise<void> {
    for (const holder of this.#holders) await holder[Symbol.asyncDispose]();
  }
}

/** A command that runs. */
export class Command {
  readonly #child: Deno.ChildProcess;
  readonly #outputs: readonly [stdout: Promise<string>, stderr: Promise<string>];
  #ended = false;
  #hung = false;

  constructor(command: readonly string[]) {
    this.#child = toCommand(command, { stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
    this.#outputs = [new Response(this.#child.stdout).text(), new Response(this.#child.stderr).text()];
    this.#child.status.then(() => this.#ended = true);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  kill(signal: Deno.Signal): void {
    if (!this.#ended) kill(this.pid, signal);
  }

  /** Waits for its end. When that does not come, `giveUp` is to kill it, and whatever holds its standard streams. */
  async end(giveUp: () => void): Promise<Ended> {
    const timer = setTimeout(() => {
      this.#hung = true;
      giveUp();
    }, DEADLINE_MS);
    try {
      const [stdout, stderr] = await Promise.all(this.#outputs);
      const { code, signal } = await this.#child.status;
      return { code, signal, stdout, stderr, hung: this.#hung };
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Commands that prepare the namespaces that a world is in. */
export const PREPARE = [
  "mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns",
  "ip link set lo up",
  `ip netns add ${OTHER}`,
  `ip -n ${OTHER} link set lo up`,
];

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The processes of this PID namespace. */
export function processes(): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter(Number.isInteger);
}

export function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch {
    // It has ended.
  }
}
