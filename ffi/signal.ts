// signal(7): sending signals, and the dispositions of this process.

import { check, lazily } from "./call.ts";
import { SYS_tgkill } from "./unistd.ts";

const killSymbols = lazily({
  tgkill: { name: "syscall", parameters: ["usize", "i32", "i32", "i32"], result: "i32" },
});

const signalSymbols = lazily({ signal: { parameters: ["i32", "usize"], result: "isize" } });

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGKILL = 9;
export const SIGUSR2 = 12;
export const SIGTERM = 15;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGXFSZ = 25;
export const SIGSYS = 31;

/** The signals whose disposition can be set: all but two, without the real-time ones. */
export const SIGNALS: readonly number[] = Array.from({ length: 31 }, (_, i) => i + 1)
  .filter((signal) => signal !== SIGKILL && signal !== SIGSTOP);

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
