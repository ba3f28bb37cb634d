// A terminal that a program runs on, as a person would use it: programs/terminal.py, a command a line.

import { assertEquals } from "@std/assert";
import { Dialogue } from "./lines.ts";
import type { Namespace, SpawnOptions } from "./namespace.ts";
import { pythonProgram } from "./peer.ts";

export interface TerminalOptions extends SpawnOptions {
  columns?: number;
  rows?: number;
}

/** A program on a terminal. */
export class Terminal {
  readonly #program: Dialogue;

  constructor(
    netns: Namespace,
    command: readonly string[],
    { columns = 160, rows = 24, env, ...options }: TerminalOptions = {},
  ) {
    const program = pythonProgram("terminal.py", columns, rows, ...command);
    const child = netns.spawn(program, { env: { TERM: "xterm", ...env }, ...options });
    this.#program = new Dialogue(child, "terminal.py");
  }

  /** Waits until a text has been written, after the one that was last expected; the output up to and with it. */
  async expect(text: string): Promise<string> {
    return await this.#program.request("expect", { text }) as string;
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#program.request("resize", { columns, rows });
  }

  /** Types a text; `\x03` is ^C. */
  async type(text: string): Promise<void> {
    await this.#program.request("type", { text });
  }

  async kill(signal: Deno.Signal): Promise<void> {
    await this.#program.request("kill", { name: signal });
  }

  /** Waits for the program's end. Fails unless that is with this status, negative for a signal. Returns the rest of its output. */
  async end(expected: number): Promise<string> {
    const { code, output } = await this.#program.request("end") as { code: number; output: string };
    await this.#program.end();
    assertEquals(code, expected, output);
    return output;
  }

  /** Closes the terminal under the program; the program's exit status, negative for a signal. */
  async hangUp(): Promise<number> {
    const code = await this.#program.request("hang_up") as number;
    await this.#program.end();
    return code;
  }
}
