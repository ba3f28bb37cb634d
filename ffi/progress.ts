// What this process is at, noted before each call that the kernel may not return from: a lock that another process holds, or
// a file system that does not answer, can keep one waiting for ever, and not even SIGKILL ends that. The notes are in memory
// that a process which watches this one maps too. Nothing here costs more than a few stores.

/** What a call is about, so that it can be said who does not answer. */
export const SUBJECT = { nothing: 0, process: 1, connection: 2, list: 3, path: 4 } as const;

/** Where in the notes each number stands, as an index of 32 bits. */
const BEGUN = 0;
const RETURNED = 1;
const KIND = 2;
const PID = 3;
const LENGTH = 4;
/** Where the text begins, and what it takes at most, in bytes. */
const TEXT = 64;
const TEXT_SIZE = 448;

/** What the notes take, in bytes. */
export const NOTES_SIZE = TEXT + TEXT_SIZE;

let numbers = new Int32Array(NOTES_SIZE / 4);
let text = new Uint8Array(numbers.buffer, TEXT, TEXT_SIZE);

/** From now on the notes are kept in `memory`. */
export function keepNotesIn(memory: Uint8Array<ArrayBuffer>): void {
  numbers = new Int32Array(memory.buffer, memory.byteOffset, TEXT / 4);
  text = memory.subarray(TEXT, NOTES_SIZE);
}

/** Notes that a call begins. */
export function beginCall(): void {
  numbers[BEGUN]++;
}

/** Notes that it has returned. It allocates nothing: errno is read after it. */
export function endCall(): void {
  numbers[RETURNED] = numbers[BEGUN];
}

/** Processes, and connections, that are not to be waited for again, and until when, as Date.now() has it. */
const unresponsive = new Map<number | string, number>();

/** From now on a process (or thread), or a connection by its handle, counts as one that does not answer. */
export function markUnresponsive(what: number | string, until: number): void {
  unresponsive.set(what, until);
}

/** Whether a process or a connection has been found not to answer. */
export function isUnresponsive(what: number | string): boolean {
  return unresponsive.size > 0 && (unresponsive.get(what) ?? 0) > Date.now();
}

/** Processes that are no one's: earlier ones of this command, which cannot end. */
const leftOut = new Set<number>();

/** From now on a process does not count as one that there is. */
export function excludeProcess(pid: number): void {
  leftOut.add(pid);
}

/** Whether a process does not count. */
export function isExcluded(pid: number): boolean {
  return leftOut.has(pid);
}

/** Users of whom so many processes do not answer that none of theirs is asked any more. */
const avoided = new Set<number>();

/** From now on the processes of a user are left alone. */
export function avoidUser(uid: number): void {
  avoided.add(uid);
}

/** Whether the processes of a user are left alone. */
export function isAvoided(uid: number): boolean {
  return avoided.has(uid);
}

/** Whether there is such a user. */
export function avoidsUsers(): boolean {
  return avoided.size > 0;
}

const encoder = new TextEncoder();

/** Notes that the calls which follow are about nobody else. */
export function noteNothing(): void {
  numbers[KIND] = SUBJECT.nothing;
}

/** Notes that the calls which follow are about a process, or a thread. */
export function noteProcess(pid: number): void {
  numbers[KIND] = SUBJECT.process;
  numbers[PID] = pid;
}

/**
 * Notes that they are about a connection, by its handle.
 *
 * @param pid Through a descriptor of which process: of the one that the calls were about so far, unless said otherwise.
 */
export function noteConnection(handle: string, pid: number = numbers[PID]): void {
  numbers[KIND] = SUBJECT.connection;
  numbers[PID] = pid;
  numbers[LENGTH] = encoder.encodeInto(handle, text).written;
}

/** Notes that they are about a list of sockets, and whether the kernel looks into each (INET_DIAG_INFO). */
export function noteDump(looksInto: boolean): void {
  numbers[KIND] = SUBJECT.list;
  numbers[PID] = looksInto ? 1 : 0;
}

const SLASH = 47;

/** Notes that they are about a file, or about the process whose file in /proc it is. Returns its number, or 0. */
export function notePath(path: string): number {
  const pid = path.startsWith("/proc/") ? leadingNumber(path, 6) : 0;
  if (pid > 0) {
    noteProcess(pid);
  } else {
    numbers[KIND] = SUBJECT.path;
    numbers[LENGTH] = encoder.encodeInto(path, text).written;
  }
  return pid;
}

/** The number that a name begins with, 0 when it is no number. */
function leadingNumber(path: string, start: number): number {
  let number = 0;
  for (let i = start; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code === SLASH) break;
    if (code < 48 || code > 57) return 0;
    number = number * 10 + code - 48;
  }
  return number;
}

/** What a process was at. */
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

  /** The call that has begun and not returned, by its number; null between two calls. */
  get call(): number | null {
    const begun = this.#numbers[BEGUN];
    return begun === this.#numbers[RETURNED] ? null : begun;
  }

  get doing(): Activity {
    const written = this.#text.slice(0, this.#numbers[LENGTH]);
    return { kind: this.#numbers[KIND], pid: this.#numbers[PID], text: new TextDecoder().decode(written) };
  }

  clear(): void {
    this.#numbers.fill(0);
  }
}
