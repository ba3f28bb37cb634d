// Reads and sets the keepalive of many connections in one pass of the kernel's iterator over sockets, without duplicates:
// also of those that no process holds, or that have not been accepted. What the pass does not settle is left to the
// duplicates: MPTCP, options that a program may not set, a kernel or a user that may not run one.

import { isSyscallError } from "../../ffi/errno.ts";
import { findsUnresponsive, notePass } from "../../ffi/progress.ts";
import { withIterator } from "../bpf/explain.ts";
import { avoidsBpf } from "../front/policy.ts";
import type { FoundSocket, Pass } from "../bpf/tcp_iterator.ts";
import { passOver } from "../bpf/tcp_pass.ts";
import { KEEPALIVE_SWITCH, optionOf, type SocketOption, type SocketPhase, steps } from "../keepalive/socket_options.ts";
import type { DesiredKeepalive } from "../keepalive/values.ts";
import { hasCapability } from "../linux/proc/permissions.ts";
import { NetnsError } from "../linux/netns/enter.ts";
import type { Connection, HeldConnection, Keepalive, KeepaliveSettings } from "../model/connection.ts";
import { UnsupportedError } from "../model/errors.ts";
import type { Selector } from "../select/selector.ts";
import { sockIds } from "../select/sockets.ts";
import { type Change, changed, extrasOf, unchanged } from "../socket/keepalive_change.ts";
import type { KeepaliveReader } from "../socket/keepalive_read.ts";

/** The number of connections from which on a pass is faster than duplicates, as measured. */
const WORTH = 400;

let failure: string | null = null;
let lastWay = "";

/** Says whether the last connections were done in a pass, and why not otherwise. */
export function explainPass(): string {
  return lastWay;
}

/** Returns those connections that a pass should be made for: all that it can, or none. */
export function worthPass<T extends HeldConnection>(held: readonly T[]): T[] {
  if (held.length === 0) return [];
  const reason = whyNot();
  if (reason !== null) {
    lastWay = `sockets duplicated: ${reason}`;
    return [];
  }
  lastWay = "";
  const able = held.filter(({ connection: { protocol, subflowOf } }) => protocol === "tcp" && subflowOf === undefined);
  // Without CAP_SYS_PTRACE duplicates can be had of this user's own processes alone.
  const isWorth = able.length >= WORTH || able.some(({ owners }) => owners.length === 0) ||
    !hasCapability("CAP_SYS_PTRACE");
  return isWorth ? able : [];
}

function whyNot(): string | null {
  if (avoidsBpf()) return "--no-bpf";
  // The kernel locks each socket of the namespace, which may be what did not come back.
  return findsUnresponsive() ? "something does not answer" : failure;
}

/** A reading of a socket by the names of its settings. The pass reads these first, and extras after them. */
const SETTINGS = ["enabled", "idleS", "intervalS", "count", "userTimeoutMs"] as const;

const READS: readonly SocketOption[] = SETTINGS.map((name) => name === "enabled" ? KEEPALIVE_SWITCH : optionOf(name));

function settingsOf(
  [enabled = 0, idleS = 0, intervalS = 0, count = 0, userTimeoutMs = 0]: readonly number[],
): Keepalive {
  return { enabled: enabled !== 0, idleS, intervalS, count, userTimeoutMs };
}

/** Reads the keepalive of connections. Those that are missing have to be read otherwise. */
export function readInPass(held: readonly HeldConnection[], selector: Selector): Map<Connection, Keepalive> {
  const read = new Map<Connection, Keepalive>();
  pass(held, { reads: READS, steps: null }, selector, (connection, { before }) => {
    read.set(connection, settingsOf(before));
  });
  return read;
}

/** Reads the keepalive of connections, in a pass where that pays. Those that are missing cannot be read: `reader` says why. */
export function readKeepalives(
  held: readonly HeldConnection[],
  reader: KeepaliveReader,
  selector: Selector,
): Map<Connection, Keepalive> {
  const found = readInPass(worthPass(held), selector);
  for (const one of held) {
    const keepalive = found.has(one.connection) ? null : reader.read(one);
    if (keepalive !== null) found.set(one.connection, keepalive);
  }
  return found;
}

/**
 * What a pass has done to a connection: the change, or the settings before one that has to be finished otherwise. Where it did
 * the same to many, it is the same object.
 */
export type Passed = { readonly change: Change } | { readonly before: KeepaliveSettings };

/** Changes the keepalive of connections. Those that are missing have not been touched. */
export function changeInPass(
  held: readonly HeldConnection[],
  desired: DesiredKeepalive,
  phaseOf: (connection: Connection) => SocketPhase,
  selector: Selector,
  dryRun: boolean,
): Map<Connection, Passed> {
  const passed = new Map<Connection, Passed>();
  for (const phase of ["established", "connect", "listen"] as const) {
    const some = held.filter(({ connection }) => phaseOf(connection) === phase);
    const { values, onlyMissing = false } = desired;
    const extras = values === "off" ? [] : extrasOf(values, phase);
    // A program may not set TCP_DEFER_ACCEPT.
    if (some.length === 0 || extras.includes("deferAcceptS")) continue;
    const settings = (numbers: readonly number[]): KeepaliveSettings => {
      if (extras.length === 0) return settingsOf(numbers);
      const own = extras.map((name, i) => [name, numbers[READS.length + i]]);
      return { ...settingsOf(numbers), ...Object.fromEntries(own) };
    };
    const work: Pass = {
      reads: [...READS, ...extras.map(optionOf)],
      steps: dryRun ? null : steps(values, phase),
      ...onlyMissing ? { unless: KEEPALIVE_SWITCH, spares: optionOf("userTimeoutMs") } : {},
    };
    const passedBy = (found: FoundSocket): Passed => {
      const before = settings(found.before);
      if (found.status === "same") return { change: unchanged(before, desired, phase) };
      if (found.results.some((result) => result !== 0)) return { before };
      return { change: changed(before, settings(found.after), desired, phase) };
    };
    const known = new Map<FoundSocket, Passed>();
    pass(some, work, selector, (connection, found) => {
      const one = known.get(found) ?? passedBy(found);
      known.set(found, one);
      passed.set(connection, one);
    });
  }
  return passed;
}

function pass(
  held: readonly HeldConnection[],
  work: Pass,
  selector: Selector,
  each: (connection: Connection, found: FoundSocket) => void,
): void {
  if (held.length === 0) return;
  const byNetns = new Map(held.map(({ connection }) => [connection.netns, connection]));
  const toId = sockIds();
  const wanted = held.map(({ connection }) => toId(connection));
  const isDone = new Uint8Array(held.length);
  try {
    withIterator(() =>
      passOver(wanted, work, (read) => {
        for (const connection of byNetns.values()) readWithin(selector, connection, read);
      }, (place, found) => {
        const one = held[place];
        if (one === undefined || isDone[place] === 1 || found.status === "unread") return;
        isDone[place] = 1;
        each(one.connection, found);
      })
    );
    lastWay = "sockets read and set with BPF";
  } catch (error) {
    if (!(error instanceof UnsupportedError) && !isSyscallError(error)) throw error;
    failure = error.message;
    lastWay = `sockets duplicated: ${failure}`;
  }
}

function readWithin(selector: Selector, connection: Connection, read: () => void): void {
  try {
    selector.within(connection, () => {
      notePass();
      read();
    });
  } catch (error) {
    if (!(error instanceof NetnsError)) throw error;
  }
}
