// Undoing what the runtime has done to its own process before tcphup began, so that the command finds what tcphup found.
//
// What was there before is not recorded anywhere. But a process starts with what its parent has, unless the parent, or
// what stood between, changed it: where that shows, things are left as they are.

import type { host } from "../../ffi/deno.ts";
import { readDirectory, readTextFile } from "../../ffi/files.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import { O_DIRECTORY, open, readlinkat } from "../../ffi/fs.ts";
import { descriptorLimit, type Limit, setDescriptorLimit } from "../../ffi/process.ts";
import { ignoreSignal, resetSignal, SIGNALS } from "../../ffi/signal.ts";
import { keepOnExec, setBlocking } from "../../ffi/descriptor.ts";

/** What the runtime does to its process, and the parent's number. */
export type Runtime = Pick<
  typeof host,
  "parent" | "resets" | "blockingStreams" | "marksInherited"
>;

/** /proc/self/status at the earliest. */
let earliest: string | null = null;

/** Takes down which signals this process ignores. The earlier the better: Deno 2.9 catches some after half a second. */
export function recordSignals(): void {
  earliest ??= readOf("self", "status");
}

/** @returns What could not be found out, a line each. */
export function restoreProcessState(
  { parent, resets, blockingStreams, marksInherited }: Runtime,
): string[] {
  recordSignals();
  const theirs = readOf(parent, "status");
  for (const signal of SIGNALS) {
    // What is caught is at its default after execve(2); what is ignored stays so.
    if (wasIgnored(signal, resets(signal) ? null : earliest, theirs)) ignoreSignal(signal);
    else if (resets(signal)) resetSignal(signal);
  }
  blockingStreams.forEach(setBlocking);
  if (marksInherited) inherited(openFiles()).forEach(keepOnExec);
  const ours = descriptorLimit();
  const original = originalLimit(ours, readOf(parent, "limits"));
  if (original === null) return [`the soft limit of descriptors stays ${ours.soft}: what it was is not known`];
  if (original.soft !== ours.soft) setDescriptorLimit(original);
  return [];
}

/** A file of /proc/PID; null when the process has gone or is hidden. */
function readOf(pid: number | "self", file: string): string | null {
  try {
    return readTextFile(`/proc/${pid}/${file}`);
  } catch (error) {
    if (isSyscallError(error)) return null;
    throw error;
  }
}

/** Whether /proc/PID/status says that the process ignores a signal. */
export function ignores(status: string | null, signal: number): boolean {
  return isIn("SigIgn", status, signal);
}

/**
 * Whether a process was started ignoring a signal: what its own /proc/PID/status says, or where there is none, or it
 * catches the signal by now, its parent's.
 */
export function wasIgnored(signal: number, own: string | null, parents: string | null): boolean {
  return ignores(own === null || isIn("SigCgt", own, signal) ? parents : own, signal);
}

function isIn(set: "SigIgn" | "SigCgt", status: string | null, signal: number): boolean {
  const [, mask] = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, "m").exec(status ?? "") ?? [];
  return (BigInt(`0x${mask ?? 0}`) >> BigInt(signal - 1) & 1n) === 1n;
}

/**
 * The limit of descriptors that this process was started with, from its parent's /proc/PID/limits. Null when that says
 * nothing: another hard limit means that the limits were set on the way from there to here, as systemd and container
 * runtimes do.
 */
export function originalLimit(ours: Limit, parentLimits: string | null): Limit | null {
  const [, soft, hard] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(parentLimits ?? "") ?? [];
  if (soft === undefined || toLimit(hard) !== ours.hard || toLimit(soft) > ours.soft) return null;
  return { soft: toLimit(soft), hard: ours.hard };
}

const RLIM_INFINITY = 0xffffffffffffffffn;

function toLimit(text: string): bigint {
  return text === "unlimited" ? RLIM_INFINITY : BigInt(text);
}

/** A descriptor of this process, and what /proc/self/fd says that it is. */
export interface OpenFile {
  readonly fd: number;
  readonly target: string;
}

/** The descriptors of this process. */
export function openFiles(): OpenFile[] {
  const numbers = readDirectory("/proc/self/fd").map(({ name }) => Number(name)).sort((a, b) => a - b);
  const directory = open(null, "/proc/self/fd", O_DIRECTORY);
  const link = new Uint8Array(4096);
  const target = (fd: number) => {
    const length = readlinkat(directory, new TextEncoder().encode(`${fd}\0`), link, BigInt(link.length));
    return new TextDecoder().decode(link.subarray(0, length));
  };
  try {
    return numbers.map((fd) => ({ fd, target: target(fd) })).filter(({ fd }) => fd !== directory.number);
  } finally {
    directory.close();
  }
}

/**
 * Of all descriptors those that the runtime did not open itself. Descriptors are numbered from the lowest that is free, so
 * all below its first event queue were there before. Above it, its own are event queues, eventfds, pipes to itself and /dev/null.
 */
export function inherited(files: readonly OpenFile[]): number[] {
  const first = files.find(({ target }) => target === "anon_inode:[eventpoll]")?.fd ?? Infinity;
  const later = files.filter(({ fd }) => fd > first);
  const isOwn = ({ target }: OpenFile) =>
    target === "" || target === "/dev/null" || target.startsWith("anon_inode:") ||
    (target.startsWith("pipe:") && later.filter((file) => file.target === target).length > 1);
  return files.filter((file) => file.fd < first || !isOwn(file)).map(({ fd }) => fd);
}
