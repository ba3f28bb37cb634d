// What an engine has found and done, for the one that goes on where it has got stuck.
//
// Before anything is done to connections they are put into the journal as they are. What was done to one costs no more than
// a byte then; only what changed its state has to be known, since all else can be found out again.

import { isSyscallError } from "../../ffi/errno.ts";
import { statx } from "../../ffi/fs.ts";
import { type Activity, avoidUser, excludeProcess, markUnresponsive, SUBJECT } from "../../ffi/progress.ts";
import { type Connection, handleOf, identityOf, type Outcome } from "../model/connection.ts";
import { type Entry, MODE, type Shared } from "./shared.ts";

/** The outcomes that cannot be found out again, by the numbers that they are marked with, from 1 on. */
const MARKED: readonly Outcome[] = ["hung-up", "destroyed", "keepalive-set"];

/** From how many bytes on nothing is added that is found later: what a command does for days is not kept one by one. */
const MOST_BYTES = 4 << 20;

/** For how long who did not answer is left alone: a number may be another process's some time. */
const LEFT_ALONE_MS = 10 * 60 * 1000;

/** How many processes of one user may not answer, before no process of that user is asked any more. */
const MOST_OF_A_USER = 4;

/** How a kernel's list that tells of each socket what only its lock lets be seen is called among what does not answer. */
export const CLOSE_DUMPS = "INET_DIAG_INFO";

let shared: Shared | null = null;
/** Whether it takes no more. */
let isFull = false;
/** Where each connection that was found by this process stands in the journal. */
const places = new WeakMap<Connection, number>();
let count = 0;

let past: Past = { connections: [], mode: MODE.work, isFirst: true };
let unresponsive: readonly Activity[] = [];
/** The handles of the connections that engines were at when they were killed. */
let doubtful: ReadonlySet<string> = new Set();
const avoidedUsers: number[] = [];

/** What the engines before this one have left. */
export interface Past {
  /** What they found, with the outcome that was reached. */
  readonly connections: readonly Connection[];
  /** How to go on: one of `MODE`. */
  readonly mode: number;
  /** Whether there were none. */
  readonly isFirst: boolean;
}

/** From now on the journal is kept in `memory`, and those who are said there not to answer are left alone. */
export function keepJournal(memory: Shared): void {
  const entries = memory.length === 0 ? [] : memory.entries();
  shared = memory;
  const stuck = entries.filter((entry) => "stuck" in entry).filter(({ at }) => at > Date.now() - LEFT_ALONE_MS);
  unresponsive = stuck.map(({ stuck }) => stuck);
  const killed = entries.filter((entry) => "killed" in entry).map(({ killed }) => killed);
  doubtful = new Set(killed.filter(({ kind }) => kind === SUBJECT.connection).map(({ text }) => text));
  avoidUsers();
  // An engine that was left behind still holds a duplicate of what it got stuck with.
  for (const { engine } of stuck) excludeProcess(engine);
  for (const entry of stuck) markUnresponsive(nameOf(entry.stuck), entry.at + LEFT_ALONE_MS);
  past = { connections: connectionsIn(entries, memory.marks), mode: memory.mode, isFirst: entries.length === 0 };
}

function nameOf({ kind, pid, text }: Activity): number | string {
  return kind === SUBJECT.process ? pid : kind === SUBJECT.connection ? text : CLOSE_DUMPS;
}

/** Finds out whose processes do not answer. A process that was stuck twice does not even say that. */
function avoidUsers(): void {
  const pids = unresponsive.map(({ pid }) => pid).filter((pid) => pid > 0);
  if (pids.length < MOST_OF_A_USER) return;
  const counts = new Map<number, number>();
  for (const pid of pids) {
    const uid = pids.filter((other) => other === pid).length > 1 ? null : userOf(pid);
    if (uid !== null) counts.set(uid, (counts.get(uid) ?? 0) + 1);
  }
  for (const [uid, count] of counts) {
    if (count < MOST_OF_A_USER) continue;
    avoidUser(uid);
    avoidedUsers.push(uid);
  }
}

function userOf(pid: number): number | null {
  try {
    return statx(null, `/proc/${pid}`).uid;
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    return null;
  }
}

const SHOWN = 5;

const WITHOUT_INFO =
  "the kernel does not come to an end with what it knows of each connection (INET_DIAG_INFO), which is left out: somebody " +
  "holds the lock of one of them";

/** Who did not answer, each in one line. */
export function unanswered(): string[] {
  const pids = [...new Set(unresponsive.filter(({ kind }) => kind === SUBJECT.process).map(({ pid }) => pid))];
  const lines = pids.slice(0, SHOWN).map((pid) => `pid ${pid} does not answer: blocked in the kernel`);
  if (unresponsive.some(({ kind }) => kind === SUBJECT.list)) lines.push(WITHOUT_INFO);
  if (pids.length > SHOWN) lines.push(`${pids.length - SHOWN} more processes do not answer`);
  for (const uid of avoidedUsers) {
    lines.push(`uid ${uid}: too many processes do not answer, so that none was looked into`);
  }
  return lines;
}

/** Each connection once: as it was found last, unless something was done to it before. */
function connectionsIn(entries: readonly Entry[], marks: Uint8Array): Connection[] {
  const found = new Map<string, Connection>();
  const byPlace: Connection[] = [];
  for (const entry of entries) {
    if ("changed" in entry) Object.assign(byPlace[entry.changed], entry.to);
    if (!("found" in entry)) continue;
    for (const connection of entry.found) {
      const mark = marks[count++] ?? 0;
      byPlace.push(connection);
      if (mark > 0) Object.assign(connection, { outcome: MARKED[mark - 1], error: null });
      const identity = identityOf(connection);
      if (!isMarked(found.get(identity))) found.set(identity, connection);
    }
  }
  return [...found.values()];
}

function isMarked(connection: Connection | undefined): boolean {
  return connection !== undefined && connection.outcome !== null && MARKED.includes(connection.outcome);
}

/** What the engines before this one have found; with `done`, only that to which they did something. */
export function pastWork(): Past {
  if (past.mode !== MODE.work) return past;
  return { ...past, connections: past.connections.filter(isMarked) };
}

/** The connections that something was being done to when an engine was killed: perhaps it was done. */
export function doubtfulWork(): Connection[] {
  return past.connections.filter((connection) => !isMarked(connection) && doubtful.has(handleOf(connection)));
}

/** Why the work cannot be finished, where that is so. */
export function whyUnfinished(): string | null {
  if (past.mode === MODE.giveUp) return "too many processes do not answer";
  return past.mode === MODE.killed ? "the process that does the work was killed again and again" : null;
}

/** The identities of the connections that were found before anything was done; null where nothing was. */
export function foundBefore(): ReadonlySet<string> | null {
  return past.connections.length === 0 ? null : new Set(past.connections.map(identityOf));
}

/** Notes what is going to be acted on. */
export function recordFound(connections: readonly Connection[]): void {
  if (shared === null || isFull || connections.length === 0 || (count > 0 && shared.length > MOST_BYTES)) return;
  append({ found: connections });
  for (const connection of connections) places.set(connection, count++);
}

/** Notes the outcome of a connection, where it cannot be found out again. */
export function recordOutcome(connection: Connection): void {
  const place = shared === null ? undefined : places.get(connection);
  if (place === undefined || place >= shared!.marks.length) return;
  shared!.marks[place] = MARKED.indexOf(connection.outcome!) + 1;
}

/** Notes what else became of it. */
export function recordChange(connection: Connection, to: Partial<Connection>): void {
  const place = places.get(connection);
  if (place !== undefined) append({ changed: place, to });
}

/** Tells the process that watches this one that a signal has come here too. */
export function noteSignal(): void {
  shared?.hear();
}

function append(entry: Entry): void {
  try {
    shared?.append(entry);
  } catch (error) {
    // What cannot be noted is only missing where an engine gets stuck.
    if (!isSyscallError(error)) throw error;
    isFull = true;
  }
}
