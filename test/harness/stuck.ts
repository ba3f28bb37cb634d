// Processes about which calls do not return: programs/stuck.py.

import { TextLineStream } from "./lines.ts";
import type { Namespace } from "./namespace.ts";
import { pythonProgram } from "./peer.ts";

/** What such a process is stuck in, and with it whoever comes near: with its socket's lock, or so that /proc of it hangs. */
export type StuckIn = "lock" | "exec";

export interface StuckOptions {
  count?: number;
  user?: number;
}

/** Processes that are stuck, each with a connection to a server. Disposing of it lets go of them. */
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    await this.#child.status;
  }
}
