// The order in which connections are cut.

import { findsUnresponsive, isUnresponsive } from "../../ffi/progress.ts";
import { handleOf } from "../model/connection.ts";
import type { Target } from "../model/result.ts";
import { isConnecting } from "./exclusions.ts";

/** Returns connections in the order in which they are to be cut. */
export function inCutOrder(targets: readonly Target[]): readonly Target[] {
  return unresponsiveUsersLast(mostUrgentFirst(targets));
}

/**
 * Puts connections with data in flight first, and attempts to connect last: a program whose request is lost waits for the
 * cut, and each cut wakes a program that competes for the processors.
 */
function mostUrgentFirst(targets: readonly Target[]): readonly Target[] {
  const groups: [Target[], Target[], Target[]] = [[], [], []];
  for (const target of targets) {
    const { connection } = target;
    groups[isConnecting(connection) ? 2 : connection.wqueue > 0 ? 0 : 1].push(target);
  }
  return groups.find(({ length }) => length === targets.length) ?? groups.flat();
}

/** Puts connections of users who own an unresponsive process last: their other processes may block too. */
function unresponsiveUsersLast(targets: readonly Target[]): readonly Target[] {
  if (!findsUnresponsive()) return targets;
  const unresponsive = targets.filter(({ connection }) => isUnresponsive(handleOf(connection)));
  const uids = new Set(unresponsive.map(({ connection }) => connection.uid));
  if (uids.size === 0) return targets;
  const isTheirs = ({ connection }: Target) => uids.has(connection.uid);
  return [...targets.filter((target) => !isTheirs(target)), ...targets.filter(isTheirs)];
}
