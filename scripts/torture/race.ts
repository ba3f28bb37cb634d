// Programs whose descriptors, processes and connections change hands while tcphup cuts: no bystander may ever be cut.
//
// A case is called MODE:SEED, as in dissolve:12345: some seconds of one of the modes of `racer.py`.

import { PYTHON } from "../../test/harness/needs.ts";
import { Dialogue } from "../../test/harness/lines.ts";
import { Random } from "../../test/select/random.ts";
import { TCPHUP } from "../bench/paths.ts";
import type { Call } from "./calls.ts";
import { manners } from "./judge.ts";
import type { Ended } from "./world.ts";
import type { Part, Verdict } from "./part.ts";
import { Strace } from "./strace.ts";

const MODES = ["reopen", "swap", "exec", "dissolve", "listen", "pid"];
/** How long a case takes. */
const CASE_MS = 3000;

/** What racer.py tells. */
interface Told {
  rounds: number;
  reused: number;
  broken: string[];
}

export class Races implements Part {
  readonly figures = { rounds: 0, reuses: 0, "duplicates taken": 0, "of which were of something else by then": 0 };
  readonly #strace: Strace;

  constructor(file: string) {
    this.#strace = new Strace(file);
  }

  *names(random: Random): Generator<string> {
    for (;;) yield `${random.one(MODES)}:${1 + random.below(1_000_000_000)}`;
  }

  async try(name: string): Promise<Verdict> {
    const [mode, seed] = name.split(":") as [string, string];
    const random = new Random(Number(seed));
    await using racer = Dialogue.start([PYTHON, `${import.meta.dirname}/racer.py`, mode], "racer.py");
    await racer.line();
    const wrong: string[] = [];
    for (const end = performance.now() + CASE_MS; performance.now() < end;) wrong.push(...await this.#cut(random));
    await racer.endInput();
    const told: Told = JSON.parse(await racer.line());
    this.figures.rounds += told.rounds;
    this.figures.reuses += told.reused;
    const broken = Map.groupBy(told.broken, (how) => how);
    return [...wrong, ...broken.entries().map(([how, { length }]) => `bystanders were cut: ${length} (${how})`)];
  }

  /** Cuts once, with a pause where what was looked up may be out of date by the time it is used. */
  async #cut(random: Random): Promise<string[]> {
    const slow = random.one(["pidfd_open", "pidfd_getfd", null]);
    const pause = slow ? [`inject=${slow}:delay_enter=${500 + random.below(30_000)}`] : [];
    const how = random.one([[], [], ["--for", "1s"], ["--destroy"], ["--when-idle", "1ms"]]);
    const command = [...TCPHUP, "127.9.0.1", "7001", "--json", ...how];
    // To stop at shutdown(2) as well would hold open what a program can slip through between the last look and that.
    const running = this.#strace.start(command, ["pidfd_open", "pidfd_getfd"], ...pause);
    const ended = await running.end(() => running.kill("SIGKILL"));
    const calls = await this.#strace.calls(TCPHUP[0]);
    if (how.length === 0 || how[0] === "--for") this.#count(calls, ended);
    return manners(ended);
  }

  #count(calls: readonly Call[], { stdout }: Ended): void {
    const taken = calls.filter(({ name, text }) => name === "pidfd_getfd" && / = \d+(?: \(DELAYED\))?$/.test(text));
    const cuts = Number(/"hung_up":(\d+)/.exec(stdout)?.[1] ?? 0);
    this.figures["duplicates taken"] += taken.length;
    this.figures["of which were of something else by then"] += taken.length - cuts;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
