// Programs run to their end, and what they leave behind.

/** What is waited for has come by then, unless something is broken. */
export const PATIENCE_MS = 60_000;

/** What a program left behind. */
export interface Output {
  /** The exit status; 128 + n after signal n. */
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** Text for standard input, which is empty otherwise. */
  stdin?: string;
  /** Whether a status other than 0 is a result like any other. */
  mayFail?: boolean;
}

/** Runs a program to its end. Throws when it fails, unless it may, and when it does not end. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Output> {
  const { env, cwd, stdin = "", mayFail = false } = options;
  const pipes = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command(command[0], { args: command.slice(1), env, cwd, ...pipes }).spawn();
  await feed(child, stdin);
  const output = await outputOf(child, command);
  if (output.code !== 0 && !mayFail) {
    throw new Error(`"${command.join(" ")}" failed with ${output.code}: ${output.stderr.trim()}`);
  }
  return output;
}

/** Waits for the end of a program whose streams nobody else reads. */
export async function outputOf(child: Deno.ChildProcess, command: readonly string[]): Promise<Output> {
  let stuck = false;
  const timer = setTimeout(() => {
    stuck = true;
    child.kill("SIGKILL");
  }, PATIENCE_MS);
  const texts = [child.stdout, child.stderr].map((stream) => new Response(stream).text());
  const [{ code }, stdout, stderr] = await Promise.all([child.status, ...texts]);
  clearTimeout(timer);
  if (stuck) throw new Error(`"${command.join(" ")}" did not end by itself, having said: ${stdout}${stderr}`);
  return { code, stdout, stderr };
}

/** Waits until `condition` gives something true, and returns that. */
export async function eventually<T>(what: string, condition: () => Promise<T | false> | T | false): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The words of a process's command line; none when it has gone. */
export function commandLine(pid: number): string[] {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
  } catch {
    return [];
  }
}

async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    if (text !== "") await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    // A program may end without having read.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
