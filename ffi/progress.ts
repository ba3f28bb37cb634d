// Notes of the call that this process is in, for another process that watches it. A lock that somebody holds, or a file
// system that does not answer, can keep a call in the kernel for ever, and not even SIGKILL ends that. The notes are in
// shared memory; to make one costs a few stores.

/** The kinds of subject that a call may have. A subject that does not answer is reported. */
export const SUBJECT = { nothing: 0, process: 1, connection: 2, list: 3, path: 4 } as const;

/** The index of each number of 32 bits in the notes. */
const BEGUN = 0;
const RETURNED = 1;
const KIND = 2;
const PID = 3;
const LENGTH = 4;
/** The offset of the text, and its size, in bytes. */
const TEXT = 64;
const TEXT_SIZE = 448;

/** The size of the notes, in bytes. */
export const NOTES_SIZE = TEXT + TEXT_SIZE;

let numbers = new Int32Array(NOTES_SIZE / 4);
let text = new Uint8Array(numbers.buffer, TEXT, TEXT_SIZE);

/** Keeps the notes in `memory` from now on. */
export function keepNotesIn(memory: Uint8Array<ArrayBuffer>): void {
  numbers = new Int32Array(memory.buffer, memory.byteOffset, TEXT / 4);
  text = memory.subarray(TEXT, NOTES_SIZE);
}

/** Notes that a call begins. */
export function beginCall(): void {
  numbers[BEGUN]!++;
}

/** Notes that the call has returned. It allocates nothing, as errno is read after it. */
export function endCall(): void {
  numbers[RETURNED] = numbers[BEGUN]!;
}

/** Processes and connections that did not answer, and the time (Date.now()) until which they are left alone. */
const unresponsive = new Map<number | string, number>();

/** Marks a process (or thread), or a connection by its handle, as one that does not answer. */
export function markUnresponsive(what: number | string, until: number): void {
  unresponsive.set(what, until);
}

/** Returns whether a process or a connection is marked as one that does not answer. */
export function isUnresponsive(what: number | string): boolean {
  return unresponsive.size > 0 && (unresponsive.get(what) ?? 0) > Date.now();
}

/** Returns whether anything did not answer. */
export function findsUnresponsive(): boolean {
  return unresponsive.size > 0;
}

/** Processes that are not looked at: earlier engines of this command, which cannot end. */
export const excludedProcesses = new Set<number>();

/** Users who have so many processes that do not answer that all of theirs are left alone. */
export const avoidedUsers = new Set<number>();

const encoder = new TextEncoder();

/** Notes that the calls which follow have no subject. */
export function noteNothing(): void {
  numbers[KIND] = SUBJECT.nothing;
}

/** Notes that the calls which follow are about a process, or a thread. */
export function noteProcess(pid: number): void {
  numbers[KIND] = SUBJECT.process;
  numbers[PID] = pid;
}

/**
 * Notes that the calls which follow are about a connection, by its handle.
 *
 * @param pid The process whose descriptor is used; by default the process that the calls were about before.
 */
export function noteConnection(handle: string, pid: number = numbers[PID]!): void {
  numbers[KIND] = SUBJECT.connection;
  numbers[PID] = pid;
  numbers[LENGTH] = encoder.encodeInto(handle, text).written;
}

/** Notes that the calls which follow are about a dump of sockets, with INET_DIAG_INFO or without. */
export function noteDump(looksInto: boolean): void {
  numbers[KIND] = SUBJECT.list;
  numbers[PID] = looksInto ? 1 : 0;
}

/** Notes that the calls which follow are about all sockets of a network namespace, each of which the kernel locks. */
export function notePass(): void {
  numbers[KIND] = SUBJECT.list;
  numbers[PID] = PASS;
}

/** In place of a process of `SUBJECT.list`. */
export const PASS = 2;

/** Notes that the calls which follow are about a file, or, for a file of /proc/PID, the process. Returns its id, or 0. */
export function notePath(path: string): number {
  const pid = Number(/^\/proc\/(\d+)(?:\/|$)/.exec(path)?.[1] ?? 0);
  if (pid > 0) {
    noteProcess(pid);
  } else {
    numbers[KIND] = SUBJECT.path;
    numbers[LENGTH] = encoder.encodeInto(path, text).written;
  }
  return pid;
}

/** The subject of a call, as noted. */
export interface Activity {
  readonly kind: number;
  readonly pid: number;
  readonly text: string;
}

/** The notes of another process. */
export class Notes {
  readonly #numbers: Int32Array;
  readonly #text: Uint8Array;

  constructor(memory: Uint8Array<ArrayBuffer>) {
    this.#numbers = new Int32Array(memory.buffer, memory.byteOffset, TEXT / 4);
    this.#text = memory.subarray(TEXT, NOTES_SIZE);
  }

  /** The number of the call that has begun and not returned; null between two calls. */
  get call(): number | null {
    const begun = this.#numbers[BEGUN]!;
    return begun === this.#numbers[RETURNED] ? null : begun;
  }

  get doing(): Activity {
    const written = this.#text.slice(0, this.#numbers[LENGTH]);
    return { kind: this.#numbers[KIND]!, pid: this.#numbers[PID]!, text: new TextDecoder().decode(written) };
  }

  clear(): void {
    this.#numbers.fill(0);
  }
}
