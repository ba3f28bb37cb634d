// What works on this host and for this user, found by doing it.

import { host } from "../ffi/deno.ts";
import { getsockopt, IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET } from "../ffi/socket.ts";
import { socketpair } from "../ffi/unix.ts";
import { type Failure, runChild } from "./doctor/child.ts";
import { withPair } from "./act/loopback_pair.ts";
import {
  type Finding,
  type ForeignDescriptor,
  limited,
  missing,
  ok,
  type Probe,
  PROBES,
  type Verdict,
} from "./doctor/probes.ts";

export type { Finding } from "./doctor/probes.ts";

/** All that was tried. */
export interface Health {
  /** Whether connections can be hung up on at all. */
  ok: boolean;
  /** One for each thing that was tried. */
  findings: Finding[];
}

/** How to try. */
export interface DoctorOptions {
  /**
   * The command line that starts tcphup, its program by an absolute path. With it, all is tried in processes of their own:
   * a seccomp filter may kill who tries, and the kernel may permit a process itself what it denies to others. Without it,
   * this process tries, and `tcphup run` is left out.
   */
  command?: readonly string[];
}

/** Tries everything that tcphup's commands rest on. It opens a few connections of its own on loopback, and no others. */
export function doctor({ command }: DoctorOptions = {}): Health {
  const findings = command === undefined ? PROBES.map((probe) => find(probe, null)) : findInChildren(command);
  return { ok: findings.every(({ status }) => status !== "missing"), findings };
}

function find({ name, affects, run }: Probe, foreign: ForeignDescriptor | null): Finding {
  try {
    return { name, ...run(foreign), affects };
  } catch (error) {
    return { name, ...missing((error as Error).message), affects };
  }
}

/** The argument by which `doctor` starts this program once more; no help mentions it. */
export const ASSIST = "assist";
/** What follows it where a process is to tell whether keepalive is on for what it opens. */
const KEEPALIVE = "keepalive";

/** Has a process try everything, and where it is ended by that, another one try the rest. */
function findInChildren(command: readonly string[]): Finding[] {
  const findings: Finding[] = [];
  const listen = (text: string) => {
    // It may be what the runtime says of its own end.
    if (text.startsWith("{")) findings.push(JSON.parse(text));
  };
  const [foreign, other] = socketpair();
  try {
    while (findings.length < PROBES.length) {
      const args = [findings.length, host.pid, foreign.number].map(String);
      const failure = runChild([...command, "doctor", ASSIST, ...args], listen);
      if (findings.length === PROBES.length) break;
      if (failure === null || failure.gaveUp) {
        findings.push(...PROBES.slice(findings.length).map((one) => find(one, null)));
      } else findings.push(ended(PROBES[findings.length], failure));
    }
  } finally {
    foreign.close();
    other.close();
  }
  return [...findings, { name: "run: set keepalive on what a program opens", ...runs(command), affects: ["run"] }];
}

function ended({ name, affects }: Probe, { text }: Failure): Finding {
  return { name, ...(affects.includes("hup") ? missing(text) : limited(text)), affects };
}

/** Has `tcphup run` start this program. */
function runs(command: readonly string[]): Verdict {
  const texts: string[] = [];
  const program = [...command, "doctor", ASSIST, KEEPALIVE];
  const failure = runChild([...command, "run", "--", ...program], (text) => texts.push(text));
  const lines = texts.join("").split("\n").filter((line) => line !== "").map((line) => line.replace("tcphup: ", ""));
  const on = lines.indexOf("on");
  if (on === -1) return limited(lines[0] ?? failure?.text ?? "keepalive stays off");
  lines.splice(on, 1);
  return lines.length === 0 ? ok("works") : limited(lines.join("; "));
}

/** Does what `doctor` has started this program for, and says what came of it, a text each. */
export function assist(args: readonly string[], say: (text: string) => void): void {
  if (args[0] === KEEPALIVE) return say(hasKeepalive() ? "on" : "keepalive stays off");
  const [first, pid, fd] = args.map(Number);
  for (const probe of PROBES.slice(first)) say(JSON.stringify(find(probe, { pid, fd })));
}

function hasKeepalive(): boolean {
  return withPair(IPPROTO_TCP, ({ client }) => getsockopt(client, SOL_SOCKET, SO_KEEPALIVE) !== 0);
}
