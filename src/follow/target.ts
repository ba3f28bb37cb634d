// What is cut at a time: connections to addresses that have left, or all that are elsewhere than at those that have stayed.

import { listOf, type Selection } from "../select/selection.ts";
import type { Departures } from "./departures.ts";

/** What a run cuts: connections to some addresses, or all that are elsewhere than at some. */
export type Target = { readonly addresses: readonly string[] } | {
  readonly stayed: readonly string[];
  readonly version?: 4 | 6;
};

/** Tells whether a target holds an address. */
export function covers(target: Target, address: string): boolean {
  return "addresses" in target ? target.addresses.includes(address) : !target.stayed.includes(address);
}

/** Returns all that is elsewhere; null when no family can be said to be settled. */
export function elsewhere({ stayed, settled }: Departures, { version }: Selection): Target | null {
  if (settled.length === 2 || (settled.length === 1 && version !== undefined)) return { stayed };
  return settled.length === 1 ? { stayed, version: settled[0] === "ipv4" ? 4 : 6 } : null;
}

/** Returns the selection of a target's connections, of those that `selection` has. */
export function selectionOf(selection: Selection, target: Target): Selection {
  if ("addresses" in target) return { ...selection, dst: target.addresses };
  const { not: excluded } = selection;
  const not = { ...excluded, dst: [...listOf(excluded?.dst), ...target.stayed] };
  return { ...selection, not, version: selection.version ?? target.version };
}
