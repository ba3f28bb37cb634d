// The journal of an engine: the connections that it has found and what it has done, for the engine that goes on when it
// is stuck.
//
// Connections are recorded before they are acted on. An outcome then costs one byte. Only outcomes that changed a
// connection are recorded: the next engine finds out all others again.

import { isSyscallError, withFallback } from "../../ffi/errno.ts";
import { statx } from "../../ffi/fs.ts";
import { type Activity, avoidedUsers, excludedProcesses, markUnresponsive, PASS, SUBJECT } from "../../ffi/progress.ts";
import { avoidBpf } from "./policy.ts";
import { handleOf, identityOf } from "../model/connection.ts";
import type { Outcome, Target } from "../model/result.ts";
import { counted } from "../model/wording.ts";
import { type Entry, type Found, MODE, type Shared } from "./shared.ts";

/** The outcomes that cannot be found out again. The mark of an outcome is its index plus 1. */
const MARKED = ["hung-up", "destroyed", "keepalive-set"] as const;

/** The size in bytes above which later finds are not recorded: a command may run for days. */
const MOST_BYTES = 20 << 20;
/** The connections of one entry: a text has to be in memory as a whole. */
const FOUND_AT_ONCE = 1024;

/** The name of passes over all sockets, for which the kernel locks each, too. What they do is done with duplicates then. */
const PASSES = "bpf_iter_tcp";

/** The time for which a process that did not answer is left alone. Its id may be another process's later. */
const LEFT_ALONE_MS = 10 * 60 * 1000;

/** The number of a user's processes that do not answer from which all processes of that user are left alone. */
const MOST_OF_A_USER = 4;

/** The name of a dump with INET_DIAG_INFO, for which the kernel locks each socket, among what does not answer. */
export const CLOSE_DUMPS = "INET_DIAG_INFO";

let shared: Shared | null = null;
/** True when the journal takes no more. */
let isFull = false;
/** The number of connections in the journal. */
let count = 0;

let past: Past<Target> = { targets: [], mode: MODE.work, isFirst: true };
let unresponsive: readonly Activity[] = [];
/** The handles of the connections that engines were acting on when they were killed. */
let doubtful: ReadonlySet<string> = new Set();
/** The entries of engines before this one. */
let entries: readonly Entry[] = [];

/** The work of the engines before this one. */
export interface Past<T extends Target> {
  /** The connections that they found, with the results. */
  readonly targets: readonly T[];
  /** The way to go on: one of `MODE`. */
  readonly mode: number;
  /** True when there were none. */
  readonly isFirst: boolean;
}

/** Keeps the journal in `memory` from now on, and leaves alone what did not answer according to it. */
export function keepJournal(memory: Shared): void {
  entries = memory.entries();
  shared = memory;
  const stuck = entries.filter((entry) => "stuck" in entry).filter(({ at }) => at > Date.now() - LEFT_ALONE_MS);
  unresponsive = stuck.map(({ stuck }) => stuck);
  const killed = entries.filter((entry) => "killed" in entry).map(({ killed }) => killed);
  // A seccomp filter may kill who calls bpf(2).
  if (killed.length > 0) avoidBpf();
  doubtful = new Set(killed.filter(({ kind }) => kind === SUBJECT.connection).map(({ text }) => text));
  avoidUsers();
  // An engine that was left behind still holds a duplicate of its last socket, but is no owner of it.
  for (const { engine } of stuck) excludedProcesses.add(engine);
  for (const entry of stuck) markUnresponsive(nameOf(entry.stuck), entry.at + LEFT_ALONE_MS);
  past = { targets: targetsIn(memory.marks), mode: memory.mode, isFirst: entries.length === 0 };
  if (past.isFirst) memory.began = Date.now();
}

function nameOf({ kind, pid, text }: Activity): number | string {
  if (kind === SUBJECT.list) return pid === PASS ? PASSES : CLOSE_DUMPS;
  return kind === SUBJECT.process ? pid : text;
}

/**
 * Leaves users alone who have too many processes that do not answer. A process that stalled twice does not even tell
 * its user.
 */
function avoidUsers(): void {
  const pids = unresponsive.map(({ pid }) => pid).filter((pid) => pid > 0);
  if (pids.length < MOST_OF_A_USER) return;
  const counts = new Map<number, number>();
  for (const pid of pids) {
    const isRepeated = pids.filter((other) => other === pid).length > 1;
    const uid = isRepeated ? null : withFallback(null, () => statx(null, `/proc/${pid}`).uid);
    if (uid !== null) counts.set(uid, (counts.get(uid) ?? 0) + 1);
  }
  for (const [uid, count] of counts) if (count >= MOST_OF_A_USER) avoidedUsers.add(uid);
}

const SHOWN = 5;

const WITHOUT_INFO =
  "the kernel does not come to an end with what it knows of each connection (INET_DIAG_INFO), which is left out: somebody " +
  "holds the lock of one of them";

/** Returns a line for each process, and each user, that did not answer. */
export function unanswered(): string[] {
  const pids = [...new Set(unresponsive.filter(({ kind }) => kind === SUBJECT.process).map(({ pid }) => pid))];
  const lines = pids.slice(0, SHOWN).map((pid) => `pid ${pid} does not answer: blocked in the kernel`);
  if (unresponsive.some(({ kind, pid }) => kind === SUBJECT.list && pid !== PASS)) lines.push(WITHOUT_INFO);
  const more = pids.length - SHOWN;
  if (more > 0) lines.push(counted(more, "more process does not answer", "more processes do not answer"));
  for (const uid of avoidedUsers) {
    lines.push(`uid ${uid}: too many processes do not answer, so that none was looked into`);
  }
  return lines;
}

/** Returns each connection of the journal once: the entry with a mark, or else the last one. */
function targetsIn(marks: Uint8Array): Target[] {
  const found = new Map<string, Target>();
  const byPlace: Target[] = [];
  for (const entry of entries) {
    if ("changed" in entry) { for (const place of entry.changed) Object.assign(byPlace[place]!, entry.to); }
    if (!("found" in entry)) continue;
    for (const recorded of entry.found) {
      const target: Target = { ...recorded, place: null };
      const outcome = MARKED[(marks[count++] ?? 0) - 1];
      byPlace.push(target);
      if (outcome !== undefined) target.result = { outcome, reason: null, message: null };
      const identity = identityOf(target.connection);
      if (!isMarked(found.get(identity))) found.set(identity, target);
    }
  }
  return [...found.values()];
}

function isMarked(target: Target | undefined): boolean {
  return markOf(target?.result?.outcome) > 0;
}

function markOf(outcome: Outcome | undefined): number {
  return (MARKED as readonly (Outcome | undefined)[]).indexOf(outcome) + 1;
}

/**
 * Returns the work of earlier engines: only what they did when work goes on, else all that they found. Engines of one
 * command have the same outcomes.
 */
export function pastWork<T extends Target>(): Past<T> {
  const { targets, mode } = past;
  return { ...past, targets: (mode === MODE.work ? targets.filter(isMarked) : targets) as readonly T[] };
}

/** Returns the connections that an engine was acting on when it was killed, so that their outcome is not known. */
export function doubtfulWork<T extends Target>(): T[] {
  const targets = past.targets as readonly T[];
  return targets.filter((target) => !isMarked(target) && doubtful.has(handleOf(target.connection)));
}

/** Explains why the work cannot be finished; null when it can. */
export function whyUnfinished(): string | null {
  if (past.mode === MODE.giveUp) return "too many processes do not answer";
  return past.mode === MODE.killed ? "the process that does the work was killed again and again" : null;
}

/** Returns the identities of the connections that earlier engines found; null when there are none. */
export function foundBefore(): ReadonlySet<string> | null {
  return past.targets.length === 0 ? null : new Set(past.targets.map(({ connection }) => identityOf(connection)));
}

/** Returns the time in milliseconds for which earlier engines have worked, by the clock of the day; 0 without any. */
export function workedBeforeMs(): number {
  return shared === null || past.isFirst ? 0 : Math.max(0, Date.now() - shared.began | 0);
}

/** Records connections before they are acted on. */
export function recordFound(targets: readonly Target[]): void {
  if (shared === null || isFull || targets.length === 0 || (count > 0 && shared.length > MOST_BYTES)) return;
  const { length } = shared;
  try {
    for (let i = 0; i < targets.length; i += FOUND_AT_ONCE) {
      shared.append({ found: targets.slice(i, i + FOUND_AT_ONCE).map(foundOf) });
    }
  } catch (error) {
    noteFull(error);
    shared.truncate(length);
    return;
  }
  for (const target of targets) target.place = count++;
}

function foundOf({ connection, owners, ownersLeftOut, result, trouble, ownerAttempts }: Target): Found {
  return { connection, owners, ownersLeftOut, result, trouble, ownerAttempts };
}

/** Records the outcome of a target when it cannot be found out again. */
export function recordOutcome(target: Target): void {
  const { place } = target;
  if (shared !== null && place !== null && place < shared.marks.length) {
    shared.marks[place] = markOf(target.result?.outcome);
  }
}

/** Records a change that is the same for some targets. */
export function recordChange(targets: readonly Target[], to: object): void {
  const changed = targets.map(({ place }) => place).filter((place) => place !== null);
  if (changed.length > 0) append({ changed, to });
}

/** Records addresses that were live, for `follow`. */
export function recordLive(addresses: readonly string[]): void {
  if (shared !== null && shared.length <= 2 * MOST_BYTES) append({ live: addresses });
}

/** What an engine holds that outlives the engine while a system call of it does not return: see `recordArmed`. */
type Armed = Extract<Entry, { armed: object }>["armed"];

/** Records the descriptor with which programs in the kernel that this process has attached can be ended. */
export function recordArmed(armed: Armed): void {
  append({ armed });
}

/** Returns what `recordArmed` was given in engines before this one. */
export function armedBefore(): readonly Armed[] {
  return entries.flatMap((entry) => "armed" in entry ? entry.armed : []);
}

/** A link of a program that an engine has attached, which lasts as long as the engine. */
type Linked = Extract<Entry, { linked: object }>["linked"];

/** Records the descriptor of such a link. */
export function recordLinked(linked: Linked): void {
  append({ linked });
}

/** Returns what `recordLinked` was given in engines before this one. */
export function linkedBefore(): readonly Linked[] {
  return entries.flatMap((entry) => "linked" in entry ? entry.linked : []);
}

/** Returns the addresses that engines before this one have seen live. */
export function liveBefore(): readonly string[] {
  return entries.flatMap((entry) => "live" in entry ? entry.live : []);
}

/** Forgets the work of engines before this one, for a command that reports each piece of work as it is done. */
export function forgetPastWork(): void {
  past = { ...past, targets: [] };
  doubtful = new Set();
}

/** Notes for the front that this process has received a signal too. */
export function noteSignal(): void {
  shared?.hear();
}

function append(entry: Entry): void {
  try {
    shared?.append(entry);
  } catch (error) {
    noteFull(error);
  }
}

/** Notes that the journal takes no more. A missing record matters only when this engine gets stuck. */
function noteFull(error: unknown): void {
  if (!isSyscallError(error)) throw error;
  isFull = true;
}
