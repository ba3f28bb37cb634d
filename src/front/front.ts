// The front: the process that the user has started. It starts an engine, a child that executes the command, and watches
// it.
//
// A call about another process may block in the kernel for ever: readlink(2) in /proc of a process that is stuck in
// execve(2), shutdown(2) of a socket whose lock somebody holds. Not even SIGKILL ends such a call. When a call of the
// engine has not returned for a second, the front kills the engine, leaves it behind when it does not die, and starts a
// new engine for the rest of the work and the report. What was done, and which call an engine is in, is in memory that
// all of them share.
//
// The front runs for as long as the command does, so it loads and does as little as possible.

import { host } from "../../ffi/deno.ts";
import { readTextFile } from "../../ffi/files.ts";
import { LibcUnavailableError } from "../../ffi/native.ts";
import { attempt, isSyscallError, withFallback } from "../../ffi/errno.ts";
import { Descriptor, pipe } from "../../ffi/descriptor.ts";
import { POLLIN } from "../../ffi/poll.ts";
import { kill, resetSignal, SIGCHLD, SIGCONT, SIGINT, SIGKILL, SIGTERM } from "../../ffi/signal.ts";
import { spawnChild, wait } from "../../ffi/spawn.ts";
import { Notes, SUBJECT } from "../../ffi/progress.ts";
import { ENGINE } from "./command.ts";
import { type Relay, relays } from "./relay.ts";
import { type Entry, MODE, Shared } from "./shared.ts";
import { StallDetector } from "./stall.ts";

/** The time after which a call counts as stuck: for the first such call, and for later ones. */
const PATIENCE_MS = { first: 1000, then: 300 };
/** The numbers of stalls, and of kills by others, after which the front gives up and has the work so far reported. */
const MOST_STALLS = 24;
const MOST_KILLS = 2;
/** The time between two looks: while the engine is in a call, and otherwise. */
const LOOK_MS = { busy: 100, else: 400 };
/** The time that the engine has to note a signal from the terminal before the front forwards its own. */
const ECHO_MS = 100;
/** The time that the kernel takes at most to end a process that can be ended. */
const END_MS = 100;

const encoder = new TextEncoder();

/** An engine: a process that executes the command. */
interface Engine {
  readonly pid: number;
  /** The read end of a pipe, which reports POLLHUP when the engine ends. */
  readonly lifeline: Descriptor;
  readonly relays: readonly Relay[];
}

/**
 * Executes the command in an engine, and in further ones when it gets stuck.
 *
 * @returns The exit code; null when no engine can be started, so that this process has to execute the command.
 */
export async function watchOver(args: readonly string[]): Promise<number | null> {
  let front: Front;
  try {
    front = new Front(args, Shared.create());
    front.start();
  } catch (error) {
    if (isSyscallError(error) || error instanceof LibcUnavailableError) return null;
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
  /** The last signal that was received, and the time of its receipt. */
  #signal = 0;
  #signalledAt = Infinity;

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

  /** Watches engines until the command is done. Returns as `watchOver` does. */
  async attend(): Promise<number | null> {
    const shared = this.#shared = new Shared(this.#memory);
    this.#notes = new Notes(shared.notes);
    // While SIGCHLD is ignored, waitpid(2) does not report a child's status.
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

  /** Waits until the engine ends. Returns its wait status; null when it was stuck, and was left behind. */
  async #attendEngine(engine: Engine): Promise<number | null> {
    const detector = new StallDetector();
    for (;;) {
      if (await this.#wait(engine)) break;
      if (this.#isStuck(engine, detector)) {
        await this.#leaveBehind(engine);
        return null;
      }
    }
    this.#engine = null;
    const status = wait(engine.pid);
    for (const relay of engine.relays) await relay.drain();
    engine.lifeline.close();
    return status;
  }

  /** Waits for output, the engine's end or the next look, and relays output. Returns whether the engine has ended. */
  async #wait({ lifeline, relays }: Engine): Promise<boolean> {
    const open = relays.filter(({ isOpen }) => isOpen);
    const fds = new Int32Array([lifeline.number, POLLIN, ...open.flatMap(({ awaited }) => awaited)]);
    await host.poll(fds, this.#notes!.call === null ? LOOK_MS.else : LOOK_MS.busy);
    for (const relay of open) relay.pump();
    return fds[1]! >> 16 !== 0;
  }

  #isStuck({ pid }: Engine, detector: StallDetector): boolean {
    const call = this.#notes!.call;
    const { state, cpu } = call === null ? { state: "", cpu: 0 } : statOf(pid);
    const waitedMs = detector.observe({ call, state, cpu, at: performance.now() });
    if (waitedMs < (this.#stalls === 0 ? PATIENCE_MS.first : PATIENCE_MS.then)) return false;
    // Any other call may take its time. It counts as stuck when a signal has not ended it.
    return mayNeverReturn(this.#notes!) || performance.now() - this.#signalledAt > PATIENCE_MS.first;
  }

  /** Kills a stuck engine, which ends when its call is killable. */
  async #leaveBehind({ pid, lifeline, relays }: Engine): Promise<void> {
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
    if (fds[1]! >> 16 !== 0) wait(pid);
  }

  #append(entry: Entry): void {
    attempt(() => this.#shared!.append(entry));
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

  /** Handles a signal. The terminal signals the engine too; a signal that the engine has not noted is forwarded. */
  #take(signal: number): void {
    if (this.#engine === null) endBySignal(signal);
    for (const relay of this.#engine?.relays ?? []) relay.hurry();
    this.#signal = signal;
    this.#signalledAt = performance.now();
    const heard = this.#shared!.heard;
    setTimeout(() => {
      if (this.#engine === null || this.#shared!.heard !== heard) return;
      kill(this.#engine.pid, signal);
      // A stopped engine handles the signal when it is continued.
      kill(this.#engine.pid, SIGCONT);
    }, ECHO_MS);
  }
}

const FAILED = 1;

/** Returns the standard streams when the runtime has set FD_CLOEXEC on them, so that they must be passed explicitly. */
function streams(): [Descriptor, 0 | 1 | 2][] {
  return host.marksInherited ? ([0, 1, 2] as const).map((stream) => [new Descriptor(stream), stream]) : [];
}

function fail(message: string): number {
  host.write(2, `tcphup: ${message}\n`);
  return FAILED;
}

/** Returns whether the engine is in a call that other processes can keep from returning. */
function mayNeverReturn(notes: Notes): boolean {
  const { kind, pid } = notes.doing;
  return kind === SUBJECT.process || kind === SUBJECT.connection || (kind === SUBJECT.list && pid !== 0);
}

/**
 * Reads a process's state, and the processor time of all its threads. A process of which they cannot be read now does not
 * count as stuck.
 */
function statOf(pid: number): { state: string; cpu: number } {
  const stat = withFallback(null, () => readTextFile(`/proc/${pid}/stat`));
  if (stat === null) return { state: "", cpu: 0 };
  // The second field is a name in parentheses, which may itself contain parentheses and spaces.
  const [state = "", ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state, cpu: Number(fields[10]) + Number(fields[11]) };
}

/** Ends this process by the signal's default action. */
function endBySignal(signal: number): number {
  resetSignal(signal);
  kill(host.pid, signal);
  return 128 + signal;
}
