// Programs that run beside a test, and network namespaces of the test's own for them to run in.

import { assert } from "@std/assert";

/** What a program left behind. */
export interface Run {
  code: number;
  /** Standard output, then standard error. */
  output: string;
}

/** Runs a program to its end. */
export function run(command: string, ...args: string[]): Run {
  const { code, stdout, stderr } = new Deno.Command(command, { args }).outputSync();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** Whether there is such a program. */
function found(program: string): boolean {
  return run("sh", "-c", 'command -v "$1"', "sh", program).code === 0;
}

/** Whether we may have network namespaces. */
const apart = found("unshare") && run("unshare", "--net", "true").code === 0;

/** The first of these programs that is missing, or network namespaces if these are, or null. */
export function missing(...programs: string[]): string | null {
  return programs.find((program) => !found(program)) ?? (apart ? null : "a network namespace of its own");
}

/** A program that runs until it is disposed of. It is spoken with by lines. */
export class Companion implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #pending = "";

  constructor(command: string, ...args: string[]) {
    this.#child = new Deno.Command(command, { args, stdin: "piped", stdout: "piped" }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits for its next line. */
  async line(): Promise<string> {
    let end;
    while ((end = this.#pending.indexOf("\n")) < 0) {
      const { value, done } = await this.#reader.read();
      assert(!done, `a program ended where a line was expected of it: ${this.#pending}`);
      this.#pending += value;
    }
    const line = this.#pending.slice(0, end);
    this.#pending = this.#pending.slice(end + 1);
    return line;
  }

  async tell(line: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(line + "\n"));
  }

  /** Ends its standard input. */
  async endInput(): Promise<void> {
    await this.#writer.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Whatever reads its input ends by itself even if this is never reached.
    await this.#writer.close().catch(() => {});
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#reader.cancel();
    await this.#child.status;
  }
}

/** A network namespace, with loopback up, that lasts until it is disposed of. */
export class Netns implements AsyncDisposable {
  readonly #holder: Companion;

  private constructor(holder: Companion) {
    this.#holder = holder;
  }

  static async create(): Promise<Netns> {
    const holder = new Companion("unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat");
    await holder.line();
    return new Netns(holder);
  }

  /** A process in it. */
  get pid(): number {
    return this.#holder.pid;
  }

  /** The arguments with which nsenter(1) starts a program in here. */
  #enter(command: string[]): [string, ...string[]] {
    return ["nsenter", "--target", String(this.pid), "--net", ...command];
  }

  /** Runs a program in here to its end, which must be a good one. */
  run(...command: string[]): string {
    const { code, output } = run(...this.#enter(command));
    assert(code === 0, `${command.join(" ")}: ${output}`);
    return output;
  }

  /** Starts a program in here. */
  start(...command: string[]): Companion {
    return new Companion(...this.#enter(command));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder[Symbol.asyncDispose]();
  }
}
