// The scene of most tests: an application with a pool of connections that are to be cut, and one that is to be kept.

import { assert, assertEquals } from "@std/assert";
import type { Namespace } from "./namespace.ts";
import { type Connections, type ConnectOptions, Peer } from "./peer.ts";
import { assertExit, type Run, tcphup } from "./tcphup.ts";

export const DOOMED_PORT = 8000;
export const KEPT_PORT = 9000;

export interface SceneOptions extends ConnectOptions {
  /** The server's address. Clients come from 127.0.0.1, so that it stands for the server alone. */
  address?: string;
  /** The numeric user that the clients run as; root when left out. */
  user?: number;
}

/** A server that echoes on two ports, and its clients, in a process each. */
export class Scene {
  readonly netns: Namespace;
  readonly address: string;
  readonly server: Peer;
  readonly client: Peer;
  /** The clients' connections to `DOOMED_PORT`. */
  readonly doomed: Connections;
  /** The clients' connections to `KEPT_PORT`. */
  readonly kept: Connections;

  private constructor(parts: Pick<Scene, "netns" | "address" | "server" | "client" | "doomed" | "kept">) {
    this.netns = parts.netns;
    this.address = parts.address;
    this.server = parts.server;
    this.client = parts.client;
    this.doomed = parts.doomed;
    this.kept = parts.kept;
  }

  static async make(netns: Namespace, options: SceneOptions = {}): Promise<Scene> {
    const { address = "127.0.0.2", user, count = 3, protocol, ...rest } = options;
    const server = Peer.start(netns);
    for (const port of [DOOMED_PORT, KEPT_PORT]) {
      await server.listen(address.includes(":") ? "::" : "0.0.0.0", port, { protocol });
    }
    const client = Peer.start(netns, { user });
    const doomed = await client.connect(address, DOOMED_PORT, { count, protocol, ...rest });
    const kept = await client.connect(address, KEPT_PORT, { count, protocol });
    return new Scene({ netns, address, server, client, doomed, kept });
  }

  /** Fails unless every doomed connection ended as if the peer had hung up, every other one lives, and no RST was sent. */
  async assertHungUp(): Promise<void> {
    await this.doomed.assertEnded("EOF");
    await this.kept.assertAlive();
    assertEquals(await this.netns.resetsSent(), 0, "segments with RST");
  }

  /** Fails unless every connection, doomed and kept, still carries data. */
  async assertUntouched(): Promise<void> {
    await this.doomed.assertAlive();
    await this.kept.assertAlive();
  }
}

/** A client with a pool of connections to `DOOMED_PORT` of 127.0.0.2, and its server, which may leave them unaccepted. */
export async function makePool(
  netns: Namespace,
  { accept, ...options }: ConnectOptions & { accept?: boolean } = {},
): Promise<{ server: Peer; client: Peer; pool: Connections }> {
  const [server, client] = [Peer.start(netns), Peer.start(netns)];
  await server.listen("127.0.0.2", DOOMED_PORT, { protocol: options.protocol, accept });
  return { server, client, pool: await client.connect("127.0.0.2", DOOMED_PORT, options) };
}

/** A client in `netns`, with a server on a host of its own, which has the addresses 10.1.0.2 and 10.1.0.9. */
export async function withFarServer(netns: Namespace, other: Namespace): Promise<Peer> {
  await netns.link(other, ["10.1.0.1/24"], ["10.1.0.2/24", "10.1.0.9/24"]);
  await Peer.start(other).listen("0.0.0.0", DOOMED_PORT);
  return Peer.start(netns);
}

/** A client in `netns`, connected to a server on a host of its own that then goes silent on one of its two addresses. */
export async function deadPeer(netns: Namespace, other: Namespace): Promise<{ stuck: Connections; kept: Connections }> {
  const client = await withFarServer(netns, other);
  const stuck = await client.connect("10.1.0.9", DOOMED_PORT, { count: 2 });
  const kept = await client.connect("10.1.0.2", DOOMED_PORT);
  await stuck.assertAlive();
  await netns.silence("10.1.0.9", other);
  return { stuck, kept };
}

/** Fails unless the counts of a report add up, and agree with the outcomes of the single connections. */
export function assertCountsAddUp(run: Run): void {
  const { matched, hung_up, destroyed, already_gone, skipped, failed, connections } = run.json();
  const outcomes = (...wanted: string[]) => connections.filter(({ outcome }) => wanted.includes(outcome!)).length;
  assertEquals(matched, connections.length);
  assertEquals(hung_up, outcomes("hung-up"));
  assertEquals(destroyed, outcomes("destroyed"));
  assertEquals(already_gone, outcomes("already-gone"));
  assertEquals(skipped, outcomes("skipped"));
  assertEquals(failed, outcomes("no-owner", "denied", "unsupported", "lingering", "failed"));
}

/** Fails unless tcphup refused what was typed: exit 2, and one line on standard error that says what is wrong. */
export function assertUsageError(run: Run, says: RegExp): void {
  assertExit(run, 2);
  assertOneLine(run, says);
  assertEquals(run.stdout, "");
}

/** Fails unless each of these is refused, all that are not named together, and nothing is touched. */
export async function assertUsageErrors(
  netns: Namespace,
  wrong: Record<string, [args: string[], says: RegExp]>,
): Promise<void> {
  const scene = await Scene.make(netns);
  const failures: string[] = [];
  for (const [what, [args, says]] of Object.entries(wrong)) {
    const run = await tcphup(args, { netns });
    try {
      assertUsageError(run, says);
    } catch (error) {
      failures.push(`${what} (tcphup ${args.join(" ")}): ${(error as Error).message}`);
    }
  }
  assertEquals(failures, []);
  await scene.assertUntouched();
}

/** Fails unless standard error is one line for humans that matches. */
export function assertOneLine({ stderr }: Run, says: RegExp): void {
  assert(/^[^\n]+\n$/.test(stderr), `not one line: ${JSON.stringify(stderr)}`);
  assert(says.test(stderr), `${JSON.stringify(stderr)} does not match ${says}`);
  assertNoStackTrace(stderr);
}

/** Fails when a text has what a program that broke prints. */
export function assertNoStackTrace(text: string): void {
  assert(!/^\s+at |Error:|file:\/\//m.test(text), `a stack trace: ${text}`);
}
