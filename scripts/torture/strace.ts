// Commands under strace(1), which is no parent of theirs: what is started is the command itself.

import { type Call, MARKER, readTrace } from "./calls.ts";
import { commandLine } from "../../test/harness/process.ts";
import { Command, pause, processes } from "./world.ts";

/** Runs commands, and reads what strace wrote of each. */
export class Strace {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** Starts a command. `expressions` are what -e takes. */
  start(command: readonly string[], calls: readonly string[], ...expressions: readonly string[]): Command {
    const traced = `trace=${[...calls, MARKER, "execve"].join(",")}`;
    const options = [traced, "signal=none", ...expressions].flatMap((expression) => ["-e", expression]);
    // Where strace does not stop at every call it sends no signals.
    const fast = expressions.some((expression) => expression.includes(":signal=")) ? [] : ["--seccomp-bpf"];
    return new Command(["strace", "-D", "-qq", "-f", ...fast, "-o", this.#file, ...options, ...command]);
  }

  /** What the command did, once it and all that it started has ended. */
  async calls(program: string): Promise<Call[]> {
    while (pidsOf(this.#file).length > 0) await pause(2);
    return readTrace(await Deno.readTextFile(this.#file), program);
  }
}

/** The processes that were started with a word. */
function pidsOf(word: string): number[] {
  return processes().filter((pid) => commandLine(pid).includes(word));
}
