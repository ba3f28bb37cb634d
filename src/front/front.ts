// The process that the user has started: it has the command done by another one, the engine, and watches that.
//
// The kernel may keep a process for ever in a call about somebody else's: in readlink(2) of what a process holds that is stuck
// in execve(2), in shutdown(2) of a socket whose lock somebody keeps. Such a thread cannot be woken, and keeps its process
// from ending, SIGKILL or not. So the command is done in a process that can be left behind: when one call of the engine
// has not returned for a second the front kills it, whether it dies or not, and has a new one do the rest and tell it all. What
// was done is in memory that all of them share; so is what an engine is at, and with it who does not answer.
//
// The front loads and does as little as it can: it is there from the first to the last moment of every command.

import { host } from "../../ffi/deno.ts";
import { readTextFile } from "../../ffi/files.ts";
import { LibcUnavailable } from "../../ffi/native.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { Descriptor, pipe } from "../../ffi/descriptor.ts";
import { POLLIN } from "../../ffi/poll.ts";
import { kill, resetSignal, SIGCHLD } from "../../ffi/signal.ts";
import { spawnChild, wait } from "../../ffi/spawn.ts";
import { Notes, SUBJECT } from "../../ffi/progress.ts";
import { ENGINE } from "./command.ts";
import { type Relay, relays } from "./relay.ts";
import { type Entry, MODE, Shared } from "./shared.ts";
import { StallDetector } from "./stall.ts";

const SIGINT = 2;
const SIGKILL = 9;
const SIGTERM = 15;
const SIGCONT = 18;

/** How long a call may take before the engine counts as stuck: the first time, and when others were found to be so. */
const PATIENCE_MS = { first: 1000, then: 300 };
/** How often the engine may be found stuck, or be killed by others, before what was done is reported as it is. */
const MOST_STALLS = 24;
const MOST_KILLS = 2;
/** How often to look: while the engine is in a call, and else. */
const LOOK_MS = { busy: 100, else: 400 };
/** How long the engine has to answer a signal of its own before the front hands on the one that it was sent. */
const ECHO_MS = 100;
/** What the kernel takes to end a process that it can end. */
const END_MS = 100;

const encoder = new TextEncoder();

/** A process that does the command. */
interface Engine {
  readonly pid: number;
  /** It becomes readable, at its end, when the engine does. */
  readonly lifeline: Descriptor;
  readonly relays: readonly Relay[];
}

/**
 * Has the command done by an engine, and by as many more as it takes.
 *
 * @returns The exit code; null where no other process can be had, so that this one has to do it.
 */
export async function watchOver(args: readonly string[]): Promise<number | null> {
  let front: Front;
  try {
    front = new Front(args, Shared.create());
    front.start();
  } catch (error) {
    if (isSyscallError(error) || error instanceof LibcUnavailable) return null;
    throw error;
  }
  return await front.attend();
}

class Front {
  readonly #args: readonly string[];
  readonly #memory: Descriptor;
  #shared: Shared | undefined;
  #notes: Notes | undefined;
  #engine: Engine | null = null;
  #stalls = 0;
  #kills = 0;
  /** The signal that was sent last, by its number, and when. */
  #signal = 0;
  #signalled_at = Infinity;

  constructor(args: readonly string[], memory: Descriptor) {
    this.#args = args;
    this.#memory = memory;
  }

  /** Starts an engine. @throws {SyscallError} */
  start(): void {
    const [lifeline, end] = pipe(true);
    const outputs = relays();
    const [program, ...words] = host.selfCommand;
    const command = [program, ...words, ENGINE, `${this.#memory.number},${host.pid}`, ...this.#args];
    try {
      const args = command.map((word) => encoder.encode(word));
      const pid = spawnChild(program, args, [...streams(), ...outputs.flatMap(({ outputs }) => outputs)]);
      for (const relay of outputs) relay.started();
      this.#engine = { pid, lifeline, relays: outputs };
    } catch (error) {
      lifeline.close();
      for (const relay of outputs) relay.close();
      throw error;
    } finally {
      end.close();
    }
  }

  /** Returns the exit code; null as `watchOver`. */
  async attend(): Promise<number | null> {
    const shared = this.#shared = new Shared(this.#memory);
    this.#notes = new Notes(shared.notes);
    // Whoever ignores it is not told how a child has ended.
    resetSignal(SIGCHLD);
    host.onSignal("SIGINT", () => this.#take(SIGINT));
    host.onSignal("SIGTERM", () => this.#take(SIGTERM));
    for (;;) {
      const status = await this.#attendEngine(this.#engine!);
      const code = status === null ? this.#replaceStuck() : this.#conclude(status);
      if (code !== "again") return code;
      this.#notes.clear();
      try {
        this.start();
      } catch (error) {
        if (!isSyscallError(error)) throw error;
        return fail(`what was left cannot be done, nor what was done be said: ${error.message}`);
      }
    }
  }

  /** Waits until the engine ends, and returns its wait status, or null when it is stuck and was left behind. */
  async #attendEngine(engine: Engine): Promise<number | null> {
    const detector = new StallDetector();
    for (;;) {
      const hasEnded = await this.#wait(engine);
      if (hasEnded) break;
      if (this.#isStuck(engine, detector)) {
        if (await this.#leaveBehind(engine)) wait(engine.pid);
        return null;
      }
    }
    this.#engine = null;
    const status = wait(engine.pid);
    for (const relay of engine.relays) await relay.drain();
    engine.lifeline.close();
    return status;
  }

  /** Waits until there is something to do, and hands on output. Returns whether the engine has ended. */
  async #wait({ lifeline, relays }: Engine): Promise<boolean> {
    const open = relays.filter(({ isOpen }) => isOpen);
    const fds = new Int32Array([lifeline.number, POLLIN, ...open.flatMap(({ awaited }) => awaited)]);
    await host.poll(fds, this.#notes!.call === null ? LOOK_MS.else : LOOK_MS.busy);
    for (const relay of open) relay.pump();
    return fds[1] >> 16 !== 0;
  }

  #isStuck({ pid }: Engine, detector: StallDetector): boolean {
    const call = this.#notes!.call;
    const { state, cpu } = call === null ? { state: "", cpu: 0 } : statOf(pid);
    const waited_ms = detector.observe({ call, state, cpu, at: performance.now() });
    if (waited_ms < (this.#stalls === 0 ? PATIENCE_MS.first : PATIENCE_MS.then)) return false;
    // A call that may well take its time ends with a signal, or is ended after one.
    return mayNeverReturn(this.#notes!) || performance.now() - this.#signalled_at > PATIENCE_MS.first;
  }

  /** Returns whether it ends, as one does whose call can be ended. */
  async #leaveBehind({ pid, lifeline, relays }: Engine): Promise<boolean> {
    this.#engine = null;
    this.#stalls++;
    this.#append({ stuck: this.#notes!.doing, at: Date.now(), engine: pid });
    kill(pid, SIGKILL);
    const fds = new Int32Array([lifeline.number, POLLIN]);
    await host.poll(fds, END_MS);
    for (const relay of relays) {
      relay.pump();
      relay.close();
    }
    lifeline.close();
    return fds[1] >> 16 !== 0;
  }

  #append(entry: Entry): void {
    try {
      this.#shared!.append(entry);
    } catch (error) {
      if (!isSyscallError(error)) throw error;
    }
  }

  #replaceStuck(): "again" | number {
    if (this.#shared!.mode !== MODE.work) return fail("what was done cannot be said: blocked in the kernel");
    if (this.#signal !== 0) this.#shared!.mode = MODE.interrupted;
    else if (this.#stalls >= MOST_STALLS) this.#shared!.mode = MODE.giveUp;
    return "again";
  }

  #conclude(status: number): "again" | number | null {
    const signal = status & 0x7f;
    const shared = this.#shared!;
    if (signal === 0) {
      const code = status >> 8;
      return code !== 0 && !shared.started ? null : code;
    }
    if (signal === SIGINT || signal === SIGTERM) return endBySignal(signal);
    fail(`the process that does the work was killed by signal ${signal}`);
    if (shared.mode !== MODE.work) return FAILED;
    this.#append({ killed: this.#notes!.doing });
    if (this.#signal !== 0) shared.mode = MODE.interrupted;
    else if (++this.#kills >= MOST_KILLS) shared.mode = MODE.killed;
    return "again";
  }

  /** From a terminal the engine gets the signal too. What was sent to this process alone is handed on. */
  #take(signal: number): void {
    if (this.#engine === null) endBySignal(signal);
    for (const relay of this.#engine?.relays ?? []) relay.hurry();
    this.#signal = signal;
    this.#signalled_at = performance.now();
    const heard = this.#shared!.heard;
    setTimeout(() => {
      if (this.#engine === null || this.#shared!.heard !== heard) return;
      kill(this.#engine.pid, signal);
      // An engine that was stopped answers when it goes on.
      kill(this.#engine.pid, SIGCONT);
    }, ECHO_MS);
  }
}

const FAILED = 1;

/** The standard streams, where they would not be the engine's without being named. */
function streams(): [Descriptor, 0 | 1 | 2][] {
  return host.marksInherited ? ([0, 1, 2] as const).map((stream) => [new Descriptor(stream), stream]) : [];
}

function fail(message: string): number {
  host.write(2, `tcphup: ${message}\n`);
  return FAILED;
}

/** Whether the engine is in a call that others can keep from returning, or that tells what others have. */
function mayNeverReturn(notes: Notes): boolean {
  const { kind, pid } = notes.doing;
  return kind === SUBJECT.process || kind === SUBJECT.connection || (kind === SUBJECT.list && pid !== 0);
}

/** A process's state, and the processor time that all of its threads have taken. */
function statOf(pid: number): { state: string; cpu: number } {
  // The second field is a name in parentheses, which may itself contain parentheses and spaces.
  const stat = readTextFile(`/proc/${pid}/stat`);
  const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state, cpu: Number(fields[10]) + Number(fields[11]) };
}

/** Ends this process as the signal ends one that does nothing about it. */
function endBySignal(signal: number): number {
  resetSignal(signal);
  kill(host.pid, signal);
  return 128 + signal;
}
