// Signals at random moments: nothing is half-set then, nothing goes on, and what is said is true.
//
// A case is called SIGNAL:COMMAND:MOMENT: when so much of the time that the command takes has passed, as in
// SIGKILL:hup:0.43, or at one of its system calls, as in SIGINT:hup:call@731.

import type { Random } from "../../test/select/random.ts";
import { commandLine as wordsOf } from "../../test/harness/process.ts";
import { INTERRUPTED } from "../../src/cli/flags/exit_codes.ts";
import { type Call, ERRNOS } from "./calls.ts";
import { commandLine, commandNamed, COMMANDS, launching, type Tortured } from "./commands.ts";
import { changesSince, judge, judgeKilled } from "./judge.ts";
import type { Part, Verdict } from "./part.ts";
import { Strace } from "./strace.ts";
import { Command, kill, pause, type World } from "./world.ts";

const SIGNALS: readonly Deno.Signal[] = ["SIGKILL", "SIGINT", "SIGTERM"];

/** The calls that change something. */
const ACTS = ["setsockopt", "shutdown", "connect", "sendto", "execve", "seccomp", "sendmsg"];

/** So many connections that a command takes a while to see to them. */
const MANY = 30;
/** How long what never ends is let run at most. */
const ENDLESS_MS = 400;
/** For how long nothing may change any more when a command has ended. */
const AFTERWARDS_MS = 150;

/** A program whose supervisor is killed, and which is to notice nothing of it. */
const SUPERVISED = "supervisor";
const SUPERVISED_PROGRAM = launching(150, "--no-bpf");

/** What is known of a command that nothing was done to. */
interface Undisturbed {
  ms: number;
  /** By their names. */
  calls: ReadonlyMap<string, readonly Call[]>;
}

export class Kills implements Part {
  readonly figures = { killed: 0, interrupted: 0 };
  readonly #world: World;
  readonly #strace: Strace;
  readonly #undisturbed = new Map<string, Undisturbed>();

  constructor(world: World, file: string) {
    this.#world = world;
    this.#strace = new Strace(file);
  }

  *names(random: Random): Generator<string> {
    for (;;) {
      if (random.chance(0.1)) {
        yield `SIGKILL:${SUPERVISED}:${random.below(1000) / 1000}`;
        continue;
      }
      // Those that act have more that can go wrong.
      const acting = Object.entries(COMMANDS).filter(([, { does }]) => random.chance(does === "nothing" ? 0.3 : 1));
      const [command] = random.one(acting);
      const moment = random.chance(0.4)
        ? (300 + random.below(900)) / 1000
        : `${random.one(["call", "act"])}@${random.below(10_000)}`;
      yield `${random.one(SIGNALS)}:${command}:${moment}`;
    }
  }

  async try(name: string): Promise<Verdict> {
    const [signal, command, moment] = name.split(":") as [Deno.Signal, string, string];
    const tortured = command === SUPERVISED ? SUPERVISED_PROGRAM : commandNamed(command);
    const undisturbed = await this.#undisturbedRun(command, tortured);
    await this.#world.reset(MANY);
    const before = await this.#world.look();
    const running = moment.includes("@")
      ? this.#startWithSignalAt(tortured, signal, moment, undisturbed)
      : new Command(commandLine(tortured));
    if (running === null) return null;
    if (!moment.includes("@")) await this.#signalAfter(Number(moment) * undisturbed.ms, running, command, signal);
    else if (tortured.endless) await this.#signalAfter(ENDLESS_MS, running, command, "SIGINT");
    const ended = await running.end(this.#world.endStrays);
    const atOnce = await this.#world.look();
    await pause(AFTERWARDS_MS);
    const strayed = await this.#world.strayed();
    const after = await this.#world.look();
    const changed = [...changesSince(atOnce, after), ...strayed];
    if (ended.signal !== null && !ended.hung) {
      this.figures.killed++;
      return [...judgeKilled(tortured, before, after), ...changed];
    }
    if (ended.code === INTERRUPTED) this.figures.interrupted++;
    const sent = command === SUPERVISED ? undefined : tortured.endless ? "SIGINT" : signal;
    return [...judge(tortured, ended, before, after, { signal: sent }), ...changed];
  }

  async #undisturbedRun(name: string, tortured: Tortured): Promise<Undisturbed> {
    const known = this.#undisturbed.get(name);
    if (known !== undefined) return known;
    await this.#world.reset(MANY);
    const command = commandLine(tortured);
    const traced = this.#strace.start(command, Object.keys(ERRNOS));
    if (tortured.endless) await this.#signalAfter(2 * ENDLESS_MS, traced, name, "SIGINT");
    await traced.end(this.#world.endStrays);
    await this.#world.strayed();
    const calls = await this.#strace.calls(command[0]);
    await this.#world.reset(MANY);
    const start = performance.now();
    if (!tortured.endless) await new Command(command).end(this.#world.endStrays);
    const ms = tortured.endless ? ENDLESS_MS : performance.now() - start;
    const undisturbed = { ms, calls: Map.groupBy(calls.filter(({ own }) => own), ({ name }) => name) };
    this.#undisturbed.set(name, undisturbed);
    return undisturbed;
  }

  /** A moment among the calls is given as `call@N`: N says of which name, and which of these; `act@N` means ACTS alone. */
  #startWithSignalAt(tortured: Tortured, signal: string, moment: string, { calls }: Undisturbed): Command | null {
    const [kind, n] = moment.split("@");
    const names = [...calls.keys()].filter((name) => kind === "call" || ACTS.includes(name));
    if (names.length === 0) return null;
    const ofName = calls.get(names[Number(n) % names.length]!)!;
    const { name, when } = ofName[Math.floor(Number(n) / names.length) % ofName.length]!;
    return this.#strace.start(commandLine(tortured), [name], `inject=${name}:signal=${signal}:when=${when}`);
  }

  async #signalAfter(ms: number, running: Command, command: string, signal: Deno.Signal): Promise<void> {
    const end = performance.now() + ms;
    for (let left = ms; left > 0 && !running.hasEnded; left = end - performance.now()) await pause(Math.min(20, left));
    if (command !== SUPERVISED) return running.kill(signal);
    for (const pid of this.#world.strays().filter(isSupervisor)) kill(pid, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
  }
}

function isSupervisor(pid: number): boolean {
  const words = wordsOf(pid);
  return words.includes("supervise") && words[0] !== "sh";
}
