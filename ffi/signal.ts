// signal(7): sending signals, and the dispositions of this process.

import { check, lazily } from "./call.ts";
import { SYS_tgkill } from "./unistd.ts";

const killSymbols = lazily({
  tgkill: { name: "syscall", parameters: ["usize", "i32", "i32", "i32"], result: "i32" },
});

const signalSymbols = lazily({ signal: { parameters: ["i32", "usize"], result: "isize" } });

export const SIGUSR2 = 12;
export const SIGCHLD = 17;

/** The signals whose disposition can be set: all but SIGKILL (9) and SIGSTOP (19), without the real-time ones. */
export const SIGNALS: readonly number[] = Array.from({ length: 31 }, (_, i) => i + 1)
  .filter((signal) => signal !== 9 && signal !== 19);

const SIG_DFL = 0n;
const SIG_IGN = 1n;

/** tgkill(2) of a process's first thread. Seccomp filters that forbid kill(2) mostly allow it, as runtimes need it. */
export function kill(pid: number, signal: number): void {
  check("tgkill", killSymbols().tgkill(SYS_tgkill, pid, pid, signal));
}

/** signal(2) with SIG_DFL. */
export function resetSignal(signal: number): void {
  setSignalDisposition(signal, SIG_DFL);
}

/** signal(2) with SIG_IGN. */
export function ignoreSignal(signal: number): void {
  setSignalDisposition(signal, SIG_IGN);
}

function setSignalDisposition(signal: number, disposition: bigint): void {
  if (signalSymbols().signal(signal, disposition) === -1n) throw new Error(`signal ${signal} does not exist`);
}
