// System calls that fail: each that tcphup makes, with each errno, at its first, second, middle and last occurrence.
//
// A case is called SYSCALL:ERRNO:NTH:COMMAND, as in sendto:ENOBUFS:2:keepalive: the second that tcphup itself makes.

import type { Random } from "../../test/select/random.ts";
import { type Call, ERRNOS, isInjected } from "./calls.ts";
import { commandLine, commandNamed, COMMANDS, type Tortured } from "./commands.ts";
import { interrupted } from "./endless.ts";
import { judge } from "./judge.ts";
import type { Part, Verdict } from "./part.ts";
import { Strace } from "./strace.ts";
import type { World } from "./world.ts";

/** In how many processes of one command a call may fail. */
const MOST_HITS = 3;

export class Injections implements Part {
  readonly figures: Record<string, number> = {};
  readonly #world: World;
  readonly #strace: Strace;
  /** The calls of each command that nothing was done to, by their names. */
  readonly #calls = new Map<string, Map<string, Call[]>>();

  private constructor(world: World, strace: Strace) {
    this.#world = world;
    this.#strace = strace;
  }

  /** @param only The command that is of interest; all when left out. */
  static async open(world: World, file: string, only?: string): Promise<Injections> {
    const part = new Injections(world, new Strace(file));
    for (const [name, tortured] of Object.entries(COMMANDS)) {
      if (only === undefined || only.endsWith(`:${name}`)) part.#calls.set(name, await part.#record(tortured));
    }
    return part;
  }

  /** What a command does when all is well. */
  async #record(tortured: Tortured): Promise<Map<string, Call[]>> {
    await this.#world.reset();
    const command = commandLine(tortured);
    const running = this.#strace.start(command, Object.keys(ERRNOS));
    if (tortured.endless) await interrupted(running, this.#world);
    await running.end(this.#world.endStrays);
    await this.#world.strayed();
    const calls = await this.#strace.calls(command[0]);
    return Map.groupBy(calls.filter(({ own }) => own), ({ name }) => name);
  }

  names(random: Random): Iterable<string> {
    const names = [...this.#calls].flatMap(([command, calls]) =>
      [...calls].flatMap(([syscall, all]) =>
        occurrences(all.length).flatMap((nth) =>
          (ERRNOS[syscall] ?? []).map((errno) => `${syscall}:${errno}:${nth}:${command}`)
        )
      )
    );
    return random.shuffled(names);
  }

  async try(name: string): Promise<Verdict> {
    const [syscall, errno, nth, command] = name.split(":") as [string, string, string, string];
    const tortured = commandNamed(command);
    const call = this.#calls.get(command)?.get(syscall)?.[Number(nth) - 1];
    if (call === undefined) return null;
    await this.#world.reset();
    const before = await this.#world.look();
    const line = commandLine(tortured);
    const running = this.#strace.start(line, [syscall], `inject=${syscall}:error=${errno}:when=${call.when}`);
    const signal = tortured.endless && await interrupted(running, this.#world) ? "SIGINT" : undefined;
    const ended = await running.end(this.#world.endStrays);
    const strayed = await this.#world.strayed();
    const hit = (await this.#strace.calls(line[0])).filter(isInjected);
    // Every process counts for itself: what each new supervisor fails at is more than a moment of trouble.
    if (hit.length === 0 || hit.length > MOST_HITS || !hit.every(({ own }) => own)) return null;
    const after = await this.#world.look();
    const wrong = judge(tortured, ended, before, after, { injected: { syscall, errno }, signal, unhurried: true });
    return [...wrong, ...strayed];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
  }
}

/** The first, the second, the one in the middle and the last. */
function occurrences(count: number): number[] {
  return [...new Set([1, 2, Math.ceil(count / 2), count])].filter((nth) => nth <= count);
}
