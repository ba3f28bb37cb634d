// Decides whether descriptors of sockets are asked of the kernel's iterator or read in /proc. The iterator has to be set up,
// and then looks at each descriptor of the host for a tenth of what /proc costs. Either finds the same.

import { readTextFile } from "../../ffi/files.ts";
import { isSyscallError, withFallback } from "../../ffi/errno.ts";
import { avoidedUsers, excludedProcesses, findsUnresponsive } from "../../ffi/progress.ts";
import { withIterator } from "../bpf/explain.ts";
import { avoidsBpf } from "../front/policy.ts";
import { findSocketFiles, type SocketFile, type SocketFilter } from "../bpf/task_file.ts";
import { processes, readFile } from "../linux/proc/process.ts";
import type { Owner } from "../model/connection.ts";
import { UnsupportedError } from "../model/errors.ts";

/** The way to take: `proc` and `bpf` are for tests. */
export type Way = "proc" | "bpf" | "cheapest";

/** What a search may cost. */
export interface SearchSize {
  /** The number of descriptors that have to be read in /proc at the least; Infinity for all. */
  readonly atLeast: number;
  readonly way?: Way;
}

/** Microseconds, as measured: to set the iterator up, and for each descriptor of the host. */
const ITERATOR = { setUp: 25_000, file: 0.6 };
/** Microseconds for each descriptor that is read in /proc. */
const PROC_FILE = 5;

/** Returns a descriptor of a socket as its owner. */
export function ownerOf({ pid, tid, fd, comm }: Omit<SocketFile, "inode">): Owner {
  return tid === null ? { pid, fd, comm } : { pid, tid, fd, comm };
}

let failure: string | null = null;
let lastWay = "";

/** Says how holders were found last, and why not otherwise. */
export function explainWay(): string {
  return lastWay;
}

/**
 * Returns the descriptors of sockets with these inodes, or of these processes; null when /proc is to be read. The processes
 * are those that the caller's /proc shows.
 */
export function iterateSocketFiles(by: SocketFilter, keys: readonly number[], size: SearchSize): SocketFile[] | null {
  const { way = "cheapest" } = size;
  if (way === "bpf") return withIterator(() => findSocketFiles(by, keys));
  const reason = way === "proc" ? "asked for" : whyNot(size);
  if (reason !== null) return leaveToProc(reason);
  try {
    const files = withIterator(() => findSocketFiles(by, keys)).filter(({ pid }) => !excludedProcesses.has(pid));
    // Listing the processes has those of users who are left alone marked.
    if (avoidedUsers.size > 0) processes();
    lastWay = "holders found with BPF";
    return files;
  } catch (error) {
    if (!(error instanceof UnsupportedError) && !isSyscallError(error)) throw error;
    failure = error.message;
    return leaveToProc(failure);
  }
}

function leaveToProc(reason: string): null {
  lastWay = `holders found in /proc: ${reason}`;
  return null;
}

function whyNot({ atLeast }: SearchSize): string | null {
  if (avoidsBpf()) return "--no-bpf";
  if (failure !== null) return failure;
  if (!isOwnProc()) return "it is that of another pid namespace";
  // A process that /proc hangs at cannot hold up the iterator.
  if (findsUnresponsive()) return null;
  const files = openFiles();
  return Math.min(files, atLeast) > readsWorth(files) ? null : "few descriptors";
}

/** Returns the number of descriptors to read in /proc in the time that the iterator takes. */
function readsWorth(files: number): number {
  return (ITERATOR.setUp + ITERATOR.file * files) / PROC_FILE;
}

/** Returns the number of reads in /proc after which a search does better to begin anew with the iterator. */
export function affordableReads(): number {
  return avoidsBpf() || failure !== null ? Infinity : readsWorth(openFiles());
}

/** The number of open files of the host, which costs one read. A file may have several descriptors. */
function openFiles(): number {
  return withFallback(0, () => parseInt(readTextFile("/proc/sys/fs/file-nr")));
}

/** Whether /proc shows the pid namespace of this process, in which the iterator numbers processes. */
function isOwnProc(): boolean {
  // The numbers of this process, from the pid namespace of /proc to its own.
  const [, numbers = ""] = /^NSpid:\s*(.*)$/m.exec(readFile("/proc/self/status") ?? "") ?? [];
  return /^\d+$/.test(numbers);
}
