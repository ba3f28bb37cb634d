// A terminal that a program runs on, as a person would use it: programs/terminal.py, a command a line.

import { TextLineStream } from "./lines.ts";
import type { Namespace, SpawnOptions } from "./namespace.ts";
import { pythonProgram } from "./peer.ts";

export interface TerminalOptions extends SpawnOptions {
  columns?: number;
  rows?: number;
}

/** A program on a terminal. */
export class Terminal {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #replies: ReadableStreamDefaultReader<string>;
  readonly #stderr: Promise<string>;

  private constructor(child: Deno.ChildProcess) {
    this.#writer = child.stdin.getWriter();
    this.#replies = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()).getReader();
    this.#stderr = new Response(child.stderr).text();
  }

  static start(
    netns: Namespace,
    command: readonly string[],
    { columns = 160, rows = 24, ...options }: TerminalOptions = {},
  ): Terminal {
    return new Terminal(netns.spawn(pythonProgram("terminal.py", columns, rows, ...command), options));
  }

  async #request(command: string, args: Record<string, unknown> = {}): Promise<unknown> {
    await this.#writer.write(new TextEncoder().encode(JSON.stringify({ do: command, ...args }) + "\n"));
    const { value, done } = await this.#replies.read();
    if (done) throw new Error(`terminal.py ended: ${await this.#stderr}`);
    const { reply, error } = JSON.parse(value);
    if (error) throw new Error(`terminal.py, asked to ${command}: ${error}`);
    return reply;
  }

  /** Waits until a text has been written, after the one that was last expected; the output up to and with it. */
  async expect(text: string): Promise<string> {
    return await this.#request("expect", { text }) as string;
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#request("resize", { columns, rows });
  }

  /** Types a text; `\x03` is ^C. */
  async type(text: string): Promise<void> {
    await this.#request("type", { text });
  }

  async kill(signal: Deno.Signal): Promise<void> {
    await this.#request("kill", { name: signal });
  }

  /** Waits for the program's end. */
  async end(): Promise<{ code: number; output: string }> {
    const end = await this.#request("end") as { code: number; output: string };
    await this.#writer.close();
    return end;
  }

  /** Closes the terminal under the program; the program's exit status, negative for a signal. */
  async hangUp(): Promise<number> {
    const code = await this.#request("hang_up") as number;
    await this.#writer.close();
    return code;
  }
}
