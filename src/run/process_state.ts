// Signal dispositions, descriptor flags and limits that the runtime changed when it started, restored for the command.
//
// The state before the runtime's start is not recorded anywhere. But a process inherits its parent's state, unless the
// parent, or a program between the two, changed it. When that shows, the state is left as it is.

import { cString } from "../../ffi/call.ts";
import { withOpen } from "../../ffi/closing.ts";
import { host } from "../../ffi/deno.ts";
import { readDirectory, readTextFile } from "../../ffi/files.ts";
import { withFallback } from "../../ffi/errno.ts";
import { O_DIRECTORY, open, readlinkat } from "../../ffi/fs.ts";
import { getrlimit, type Limit, RLIM_INFINITY, RLIMIT_NOFILE, setrlimit } from "../../ffi/process.ts";
import { ignoreSignal, resetSignal, SIGNALS } from "../../ffi/signal.ts";
import { keepOnExec, setBlocking } from "../../ffi/descriptor.ts";

/** /proc/self/status, read as early as possible. */
let earliest: string | null = null;

/** Records the signals that this process ignores. To be called early: Deno 2.9 catches some after half a second. */
export function recordSignals(): void {
  earliest ??= readOf("self", "status");
}

/** Restores the state for the command. @returns What could not be restored, a line each. */
export function restoreProcessState(): string[] {
  const { parent, resets, blockingStreams, marksInherited } = host;
  recordSignals();
  const theirs = readOf(parent, "status");
  for (const signal of SIGNALS) {
    // execve(2) resets signals that are caught to their default; ignored ones stay ignored.
    if (wasIgnored(signal, resets(signal) ? null : earliest, theirs)) ignoreSignal(signal);
    else if (resets(signal)) resetSignal(signal);
  }
  blockingStreams.forEach(setBlocking);
  if (marksInherited) inherited(openFiles()).forEach(keepOnExec);
  const ours = getrlimit(RLIMIT_NOFILE);
  const original = originalLimit(ours, readOf(parent, "limits"));
  if (original === null) return [`the soft limit of descriptors stays ${ours.soft}: what it was is not known`];
  if (original.soft !== ours.soft) setrlimit(RLIMIT_NOFILE, original);
  return [];
}

/** Reads a file of /proc/PID. Returns null when the process has ended or is hidden. */
function readOf(pid: number | "self", file: string): string | null {
  return withFallback(null, () => readTextFile(`/proc/${pid}/${file}`));
}

/** Returns whether a process ignores a signal, by its /proc/PID/status. */
export function ignores(status: string | null, signal: number): boolean {
  return isIn("SigIgn", status, signal);
}

/**
 * Returns whether a process was started with a signal ignored: by its own /proc/PID/status, or by its parent's when
 * there is none of its own, or the process catches the signal by now.
 */
export function wasIgnored(signal: number, own: string | null, parents: string | null): boolean {
  return ignores(own === null || isIn("SigCgt", own, signal) ? parents : own, signal);
}

function isIn(set: "SigIgn" | "SigCgt", status: string | null, signal: number): boolean {
  const [, mask] = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, "m").exec(status ?? "") ?? [];
  return (BigInt(`0x${mask ?? 0}`) >> BigInt(signal - 1) & 1n) === 1n;
}

/**
 * Returns the limit of descriptors that this process was started with, by its parent's /proc/PID/limits. Null when that
 * cannot be told: with another hard limit, the limits were set between the two, as systemd and container runtimes do.
 */
export function originalLimit(ours: Limit, parentLimits: string | null): Limit | null {
  const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(parentLimits ?? "") ?? [];
  if (soft === undefined || hard === undefined) return null;
  if (toLimit(hard) !== ours.hard || toLimit(soft) > ours.soft) return null;
  return { soft: toLimit(soft), hard: ours.hard };
}

function toLimit(text: string): bigint {
  return text === "unlimited" ? RLIM_INFINITY : BigInt(text);
}

/** A descriptor of this process, and its link in /proc/self/fd. */
export interface OpenFile {
  readonly fd: number;
  readonly target: string;
}

/** Lists the descriptors of this process. */
export function openFiles(): OpenFile[] {
  const numbers = readDirectory("/proc/self/fd").map(({ name }) => Number(name)).sort((a, b) => a - b);
  const link = new Uint8Array(4096);
  return withOpen(open("/proc/self/fd", O_DIRECTORY), (directory) => {
    const target = (fd: number) => {
      const length = readlinkat(directory, cString(`${fd}`), link, BigInt(link.length));
      return new TextDecoder().decode(link.subarray(0, length));
    };
    return numbers.map((fd) => ({ fd, target: target(fd) })).filter(({ fd }) => fd !== directory.number);
  });
}

/**
 * Returns the descriptors that the runtime did not open itself. A new descriptor gets the lowest free number, so all
 * below the runtime's first event queue were inherited. Above it the runtime's are event queues, eventfds, pipes to
 * itself and /dev/null.
 */
export function inherited(files: readonly OpenFile[]): number[] {
  const first = files.find(({ target }) => target === "anon_inode:[eventpoll]")?.fd ?? Infinity;
  const later = files.filter(({ fd }) => fd > first);
  const isOwn = ({ target }: OpenFile) =>
    target === "" || target === "/dev/null" || target.startsWith("anon_inode:") ||
    (target.startsWith("pipe:") && later.filter((file) => file.target === target).length > 1);
  return files.filter((file) => file.fd < first || !isOwn(file)).map(({ fd }) => fd);
}
