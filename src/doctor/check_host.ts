// Checks what works on this host and for this user by trying it.

import { host } from "../../ffi/deno.ts";
import { getsockopt, IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET } from "../../ffi/socket.ts";
import { socketpair } from "../../ffi/unix.ts";
import { UsageError } from "../model/errors.ts";
import { type Check, checkOptions, text } from "../model/options.ts";
import { WAY } from "../run/launch.ts";
import { removeAbandonedCgroups } from "../run/own_cgroup.ts";
import { type Command, type Failure, runChild } from "./child.ts";
import { withPair } from "../act/loopback_pair.ts";
import { PROBES } from "./probes.ts";
import { type Finding, type ForeignDescriptor, limited, missing, ok, type Probe, type Verdict } from "./verdict.ts";

export type { Finding } from "./verdict.ts";

/** The findings about this host. */
export interface Health {
  /** `true` when connections can be hung up on at all. */
  ok: boolean;
  /** The findings, one for each probe. */
  findings: Finding[];
}

/** Options of `checkHost`. */
export interface CheckHostOptions {
  /**
   * The command line that starts tcphup, with an absolute path to its program. With it, the probes run in child
   * processes: a seccomp filter may kill the process that tries, and the kernel permits a process to do things to
   * itself that it denies to others. Without it, the probes run in this process, and `tcphup run` is not tried.
   */
  command?: readonly [program: string, ...args: string[]];
}

/** Checks that a command line is absolute, so that it does not depend on PATH. @throws {UsageError} */
const commandLine: Check = (option, value) => {
  const words: readonly unknown[] = Array.isArray(value) ? value : [value];
  for (const word of words) text(option, word);
  if (Array.isArray(value) && String(value[0]).startsWith("/")) return;
  throw new UsageError(`${option} is not a list of words that begins with the absolute path of a program`, {
    option,
    value,
  });
};

/**
 * Tries everything that the commands of tcphup need. It opens a few connections of its own over loopback, and no
 * others. It blocks until it is done, for some 0.2 s; with `command` it waits for some child processes too, each of which
 * takes as long as that program takes to start.
 *
 * @throws {UsageError} When `command` is not a list that begins with an absolute path.
 */
export function checkHost(options: CheckHostOptions = {}): Health {
  checkOptions(options, { command: commandLine });
  const { command } = options;
  const findings = command === undefined ? PROBES.map((probe) => runProbe(probe, null)) : runProbesInChildren(command);
  return { ok: findings.every(({ status }) => status !== "missing"), findings };
}

function runProbe({ name, affects, run }: Probe, foreign: ForeignDescriptor | null): Finding {
  try {
    return { name, ...run(foreign), affects };
  } catch (error) {
    return { name, ...missing((error as Error).message), affects };
  }
}

/** The hidden argument with which `doctor` starts the child process that runs the probes. */
export const PROBES_ARGUMENT = "internal-probes";
/** The argument after it that makes the child tell whether SO_KEEPALIVE is on for the sockets that it opens. */
const KEEPALIVE_ARGUMENT = "keepalive";
/** The child's answer when it is. */
const ON = "on";

/** Runs the probes in a child process. When a probe kills the child, another child runs the remaining probes. */
function runProbesInChildren(command: Command): Finding[] {
  const findings: Finding[] = [];
  const listen = (text: string) => {
    // Text that is not JSON is the runtime's message about its own end.
    if (text.startsWith("{")) findings.push(JSON.parse(text));
  };
  const [foreign, other] = socketpair();
  try {
    while (findings.length < PROBES.length) {
      const args = [findings.length, host.pid, foreign.number].map(String);
      const failure = runChild([...command, "doctor", PROBES_ARGUMENT, ...args], listen);
      const remaining = PROBES.slice(findings.length);
      const [next] = remaining;
      if (next === undefined) break;
      if (failure === null || failure.hasExited) findings.push(...remaining.map((one) => runProbe(one, null)));
      else findings.push(failedProbe(next, failure));
    }
  } finally {
    foreign.close();
    other.close();
  }
  return [...findings, { name: "run: set keepalive on what a program opens", ...tryRun(command), affects: ["run"] }];
}

function failedProbe({ name, affects }: Probe, { text: problem }: Failure): Finding {
  return { name, ...(affects.includes("hup") ? missing(problem) : limited(problem)), affects };
}

/** Tries `tcphup run` with this program. */
function tryRun(command: Command): Verdict {
  const texts: string[] = [];
  const program = [...command, "doctor", PROBES_ARGUMENT, KEEPALIVE_ARGUMENT];
  const failure = runChild([...command, "run", "--debug", "--", ...program], (text) => texts.push(text));
  removeAbandonedCgroups();
  const all = texts.join("").split("\n").filter((line) => line !== "").map((line) => line.replace("tcphup: ", ""));
  const way = all.find((line) => line.startsWith(WAY)) ?? WAY;
  const lines = all.filter((line) => line !== way && line !== ON);
  if (!all.includes(ON)) return limited(lines[0] ?? failure?.text ?? "keepalive stays off");
  return lines.length === 0 ? ok(`works, ${way.slice(WAY.length)}`) : limited(lines.join("; "));
}

/** Runs the probes in the child process, and writes each finding. */
export function runProbes(args: readonly string[], write: (text: string) => void): void {
  if (args[0] === KEEPALIVE_ARGUMENT) return write(hasKeepalive() ? ON : "keepalive stays off");
  const [first, pid = NaN, fd = NaN] = args.map(Number);
  for (const probe of PROBES.slice(first)) write(JSON.stringify(runProbe(probe, { pid, fd })));
}

function hasKeepalive(): boolean {
  return withPair(IPPROTO_TCP, ({ client }) => getsockopt(client, SOL_SOCKET, SO_KEEPALIVE) !== 0);
}
