// Programs run to their end, and what they leave behind.

/** What a program left behind. */
export interface Output {
  /** The exit status; 128 + n after signal n. */
  code: number;
  stdout: string;
  stderr: string;
}

/** How a program is run. */
export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Whether it gets nothing of this process's environment. */
  clearEnv?: boolean;
  /** Text for standard input, which is empty otherwise. */
  stdin?: string;
  /** Whether what it writes is shown and not returned. */
  shown?: boolean;
  /** Whether a status other than 0 is a result like any other. */
  mayFail?: boolean;
  /** After how many milliseconds it is taken for stuck, and killed. It is waited for when this is left out. */
  patience_ms?: number;
}

/** A command line of a program and its arguments, as Deno takes it. */
export function toCommand(
  [program, ...args]: readonly string[],
  options: Omit<Deno.CommandOptions, "args"> = {},
): Deno.Command {
  if (program === undefined) throw new Error("no program to run");
  return new Deno.Command(program, { args, ...options });
}

/** Runs a program to its end. Throws, with what it wrote, when it is stuck and when it fails, unless it may. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Output> {
  const { cwd, env, clearEnv, stdin = "", shown = false, mayFail = false, patience_ms } = options;
  const output = shown ? "inherit" : "piped";
  const streams = { stdin: "piped", stdout: output, stderr: output } as const;
  const child = toCommand(command, { cwd, env, clearEnv, ...streams }).spawn();
  await feed(child, stdin);
  const ended = shown
    ? { code: (await child.status).code, stdout: "", stderr: "" }
    : await outputOf(child, command, patience_ms);
  if (ended.code === 0 || mayFail) return ended;
  throw new Error(`"${command.join(" ")}" failed with ${ended.code}: ${ended.stderr}${ended.stdout}`.trim());
}

/** Waits for the end of a program whose streams nobody else reads. */
export async function outputOf(
  child: Deno.ChildProcess,
  command: readonly string[],
  patience_ms?: number,
): Promise<Output> {
  let stuck = false;
  const kill = () => {
    stuck = true;
    child.kill("SIGKILL");
  };
  const timer = patience_ms === undefined ? undefined : setTimeout(kill, patience_ms);
  const [{ code }, stdout, stderr] = await Promise.all([
    child.status,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  clearTimeout(timer);
  if (stuck) throw new Error(`"${command.join(" ")}" did not end by itself, having said: ${stdout}${stderr}`);
  return { code, stdout, stderr };
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
