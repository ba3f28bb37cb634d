// Processes about which calls do not return: programs/stuck.py.

import { Dialogue } from "./lines.ts";
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
  readonly #program: Dialogue;
  readonly pids: readonly number[];

  private constructor(program: Dialogue, pids: readonly number[]) {
    this.#program = program;
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
    const stuck = new Dialogue(netns.spawn(["unshare", "--mount", ...program]), "stuck.py");
    return new Stuck(stuck, JSON.parse(await stuck.line()));
  }

  /** The command that runs another one in the mount namespace in which /proc hangs. */
  get within(): string[] {
    return ["nsenter", `--target=${this.#program.pid}`, "--mount", "--"];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.end();
  }
}
