// Text, line by line, as it comes, and programs that a test speaks with in lines.

import { lines } from "../../scripts/lines.ts";
import { toCommand } from "../../scripts/process.ts";

/** Lines of a stream, as they come. */
export class Lines {
  readonly #reader: ReadableStreamDefaultReader<string>;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = lines(stream).getReader();
  }

  /** Waits for so many. */
  async next(count: number): Promise<string[]> {
    const lines: string[] = [];
    while (lines.length < count) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`it ended, having said: ${lines.join("; ")}`);
      lines.push(value);
    }
    return lines;
  }

  /** All that come until the end. */
  async rest(): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done) return lines;
      lines.push(value);
    }
  }

  /** Leaves the rest unread. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}

/** A running program with pipes for its three standard streams, in which it is spoken with. Disposing of it ends it. */
export class Dialogue implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #name: string;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #stderr: Promise<string>;

  /** @param name What the program is called where it fails. */
  constructor(child: Deno.ChildProcess, name: string) {
    this.#child = child;
    this.#name = name;
    this.#writer = child.stdin.getWriter();
    this.#lines = lines(child.stdout).getReader();
    this.#stderr = new Response(child.stderr).text();
  }

  /** Starts a program of that sort. */
  static start(command: readonly string[], name = command[0]!): Dialogue {
    const pipes = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    return new Dialogue(toCommand(command, pipes).spawn(), name);
  }

  get pid(): number {
    return this.#child.pid;
  }

  async tell(line: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(line + "\n"));
  }

  /** Waits for its next line. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.read();
    if (done) throw new Error(`${this.#name} ended: ${await this.#stderr}`);
    return value;
  }

  /** Tells it a command in JSON and waits for its reply. Throws what it reports as an error. */
  async request(command: string, args: Record<string, unknown> = {}): Promise<unknown> {
    await this.tell(JSON.stringify({ do: command, ...args }));
    const { reply, error } = JSON.parse(await this.line());
    if (error) throw new Error(`${this.#name}, asked to ${command}: ${error}`);
    return reply;
  }

  async endInput(): Promise<void> {
    await this.#writer.close();
  }

  /** Ends its input, and waits for its end. */
  async end(): Promise<void> {
    await this.endInput();
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.abort().catch(() => {});
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#lines.cancel();
    await Promise.all([this.#child.status, this.#stderr]);
  }
}
