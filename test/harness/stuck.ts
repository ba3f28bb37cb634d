// Processes about which calls do not return: programs/stuck.py.

import { TextLineStream } from "./lines.ts";
import type { Namespace } from "./namespace.ts";
import { pythonProgram } from "./peer.ts";

/** What does not return: a call that takes the lock of its socket; in its mount namespace, a look at its descriptors in /proc. */
export type StuckIn = "lock" | "proc";

export interface StuckOptions {
  count?: number;
  user?: number;
}

/** Processes, each with a connection to a server. Disposing of it lets go of who waits. */
export class Stuck implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly pids: readonly number[];

  private constructor(child: Deno.ChildProcess, pids: readonly number[]) {
    this.#child = child;
    this.pids = pids;
  }

  static async start(
    netns: Namespace,
    what: StuckIn,
    address: string,
    port: number,
    { count = 1, user = 65_534 }: StuckOptions = {},
  ): Promise<Stuck> {
    const program = pythonProgram("stuck.py", what, address, port, user, count);
    const child = netns.spawn(["unshare", "--mount", ...program]);
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()).getReader();
    const { value } = await lines.read();
    if (value === undefined) throw new Error(`stuck.py: ${await new Response(child.stderr).text()}`);
    return new Stuck(child, JSON.parse(value));
  }

  /** The command that runs another one in the mount namespace in which /proc hangs. */
  get within(): string[] {
    return ["nsenter", `--target=${this.#child.pid}`, "--mount", "--"];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    await this.#child.status;
  }
}
