// The keepalive values of the command line: --idle, --interval and so on.

import { withoutEffect } from "../../keepalive/socket_options.ts";
import {
  type GivenValues,
  KEEPALIVE_FIELDS,
  KEEPALIVE_NAMES,
  type KeepaliveName,
  type KeepaliveValues,
  parseValue,
} from "../../keepalive/values.ts";
import type { Arguments } from "./arguments.ts";

/** Returns the name of a value's flag, without dashes. */
export function flagName(name: KeepaliveName): string {
  return KEEPALIVE_FIELDS[name].label;
}

/**
 * Returns the values that were given; undefined where none was.
 *
 * @throws {UsageError} When a value is no number, or out of the kernel's range.
 */
export function givenValues(args: Arguments): GivenValues | undefined {
  const given: Partial<Record<KeepaliveName, number | "auto">> = {};
  for (const name of KEEPALIVE_NAMES) {
    const text = args.value(flagName(name));
    if (text !== undefined) given[name] = parseValue(name, text);
  }
  // Only the user timeout is ever auto: parseValue sees to that.
  return Object.keys(given).length === 0 ? undefined : given as GivenValues;
}

/** The sockets that a value affects, for values without an effect on open connections. */
const AFFECTED_SOCKETS: Partial<Record<KeepaliveName, string>> = {
  syncnt: "connections in SYN-SENT",
  maxseg: "connections in SYN-SENT and listeners (--listeners)",
  deferAcceptS: "listeners (--listeners)",
};

/** Returns a warning for each value that has no effect on the selected sockets. */
export function noEffectWarnings(values: KeepaliveValues, listeners: boolean): string[] {
  return withoutEffect(values, "established")
    .filter((name) => !listeners || withoutEffect(values, "listen").includes(name))
    .map((name) => `${flagName(name)} has no effect on open connections, only on ${AFFECTED_SOCKETS[name]}`);
}
