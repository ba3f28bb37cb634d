// A selection as a person or a program writes it, and the filter that it means.

import { CONNECTED, stateMask } from "../netlink/states.ts";
import { UsageError } from "../usage_error.ts";
import { type IpVersion, parseDestination, parsePort } from "./destination.ts";
import { all, type Filter } from "./filter.ts";
import { requireLocal } from "./listeners.ts";
import { type Names, systemNames } from "./names.ts";

/** Which connections: all that is given must hold. */
export interface Selection {
  /** The peer: an address, a prefix, a host name (each of its addresses), or `any`. */
  dst?: string;
  /** The peer's port: a number, a range such as `8000-8100`, a service name; `0` or `any` for every port. */
  dport?: string | number;
  /** Only connections over this version of IP. */
  version?: IpVersion;
}

/** A selection, ready to be looked for. */
export interface Target {
  readonly filter: Filter;
  /** Mask of 1 << state. */
  readonly states: number;
}

/**
 * Works out what a selection means.
 *
 * @param listeners Whether listening sockets are meant too.
 * @throws {UsageError} When it selects nothing, or names something that is not there; when listeners are meant, and it
 * says something about peers.
 */
export function compileSelection(selection: Selection, names: Names = systemNames, listeners = false): Target {
  const { dst, dport = "any", version } = selection;
  if (dst === undefined) {
    throw new UsageError('No connections selected: give an address, as in "tcphup 10.0.0.5 443", or say any');
  }
  const filter = all([parseDestination(dst, "dst", names, version), parsePort(String(dport), "dst", names)]);
  if (listeners) requireLocal(filter);
  return { filter, states: listeners ? CONNECTED | stateMask("LISTEN") : CONNECTED };
}
