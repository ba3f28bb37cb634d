// The flags that say what keepalive is to be: --idle, --interval and so on.

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

/** The name of a value's flag, without dashes. */
export function flagOf(name: KeepaliveName): string {
  return KEEPALIVE_FIELDS[name].label;
}

/**
 * The values that were given, undefined when none was.
 *
 * @throws {UsageError} For what is no number, or out of the kernel's range.
 */
export function givenValues(args: Arguments): GivenValues | undefined {
  const given: Partial<Record<KeepaliveName, number | "auto">> = {};
  for (const name of KEEPALIVE_NAMES) {
    const text = args.value(flagOf(name));
    if (text !== undefined) given[name] = parseValue(name, text);
  }
  // Only the user timeout is ever auto: parseValue sees to that.
  return Object.keys(given).length === 0 ? undefined : given as GivenValues;
}

/** Where each of the values has an effect that open connections do not feel. */
const WHERE: Partial<Record<KeepaliveName, string>> = {
  syncnt: "connections in SYN-SENT",
  maxseg: "connections in SYN-SENT and listeners (--listeners)",
  defer_accept_s: "listeners (--listeners)",
};

/** A warning for each value that most connections will not feel, unless listeners are set, which feel it. */
export function warnOfNoEffect(values: KeepaliveValues, listeners: boolean): string[] {
  const unfelt = withoutEffect(values, "established");
  const felt = listeners ? unfelt.filter((name) => !withoutEffect(values, "listen").includes(name)) : [];
  return unfelt
    .filter((name) => !felt.includes(name))
    .map((name) => `${flagOf(name)} has no effect on open connections, only on ${WHERE[name]}`);
}
