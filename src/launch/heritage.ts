// What a program inherits from the one that execs it, and giving back what the runtime that runs tcphup has changed.

import { readFile, readTextFile } from "../../ffi/file.ts";
import { isSyscallError } from "../../ffi/libc.ts";
import { descriptorLimit, type Limit, restoreDefault, setDescriptorLimit, SIGPIPE } from "../../ffi/process.ts";

const NUL = 0;
const decoder = new TextDecoder();

/** The strings of a file of /proc that ends each with a NUL, as bytes: they need not be UTF-8. */
function readStrings(path: string): Uint8Array[] {
  const bytes = readFile(path);
  const strings: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(NUL); end !== -1; end = bytes.indexOf(NUL, start)) {
    strings.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return strings;
}

/** The environment that this process was started with, `NAME=value` each. */
export function inheritedEnvironment(): Uint8Array[] {
  return readStrings("/proc/self/environ");
}

/** The value of a variable, `undefined` when it is not set. */
export function lookUp(environment: readonly Uint8Array[], name: string): string | undefined {
  return environment.map((entry) => decoder.decode(entry))
    .find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
}

/**
 * `words` as bytes. Where they are the last arguments of this process they are taken from there: the runtime hands on
 * what is not UTF-8 with replacement characters.
 */
export function rawArguments(words: readonly string[]): Uint8Array[] {
  const raw = readStrings("/proc/self/cmdline").slice(-words.length);
  const same = raw.length === words.length && raw.every((bytes, i) => decoder.decode(bytes) === words[i]);
  return same ? raw : words.map((word) => new TextEncoder().encode(word));
}

/** What the parent of this process shows of itself in /proc; null when it has gone or is hidden. */
function readOfParent(parent: number, file: string): string | null {
  try {
    return readTextFile(`/proc/${parent}/${file}`);
  } catch (error) {
    if (isSyscallError(error)) return null;
    throw error;
  }
}

/**
 * Undoes what Deno (and Node) do to their own process when they start: they ignore SIGPIPE and raise the soft limit of
 * descriptors to the hard one. What was there before is not recorded anywhere, but a process starts with what its
 * parent has, unless that changes it in between.
 *
 * @returns What could not be found out, for the person at the keyboard.
 */
export function restoreHeritage(parent: number): string[] {
  const status = readOfParent(parent, "status");
  if (status === null || !ignores(status, SIGPIPE)) restoreDefault(SIGPIPE);
  const ours = descriptorLimit();
  const original = originalLimit(ours, readOfParent(parent, "limits"));
  if (original === null) return [`the soft limit of descriptors stays ${ours.soft}: what it was is not known`];
  if (original.soft !== ours.soft) setDescriptorLimit(original);
  return [];
}

/** Whether /proc/PID/status says that the process ignores a signal. */
export function ignores(status: string, signal: number): boolean {
  const [, mask] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status) ?? [];
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
