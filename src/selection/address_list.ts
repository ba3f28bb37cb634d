// A file of addresses, one a line: the dead pods of a night.

import { readWhole } from "../../ffi/files.ts";
import { isSyscallError } from "../../ffi/libc.ts";
import { parsePrefix, type Prefix } from "../address.ts";
import { UsageError } from "../usage_error.ts";
import { parseDestination } from "./destination.ts";
import { any, type Filter, NOTHING, type Side } from "./filter.ts";
import type { Names } from "./names.ts";

/** All of them, or some of one interface: that has to be said where it is seen. */
const NOT_ONE = /^any$|^\*$|%/;

/** How many bad lines are shown. */
const SHOWN = 3;

/**
 * The connections whose address on `side` is on one of the lines of a file: addresses, prefixes or host names; a `#`
 * and what follows it is a comment, an empty line nothing. `-` is standard input. A file without addresses selects
 * nothing.
 *
 * @throws {UsageError} For a file that cannot be read, and for lines that are no address, by number and text.
 */
export function readAddressList(path: string, side: Side, names: Names): Filter {
  return parseAddressList(textOf(path), path, side, names);
}

function textOf(path: string): string {
  try {
    return new TextDecoder().decode(readWhole(path === "-" ? "/dev/stdin" : path));
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    throw new UsageError(`Cannot read the file of addresses "${path}": ${error.code}`);
  }
}

/** The same for a text; `source` is what messages call it. */
export function parseAddressList(text: string, source: string, side: Side, names: Names): Filter {
  const prefixes: Prefix[] = [];
  const others: Filter[] = [];
  const bad: string[] = [];
  text.split("\n").forEach((line, i) => {
    const comment = line.indexOf("#");
    const address = (comment < 0 ? line : line.slice(0, comment)).trim();
    if (address === "") return;
    const prefix = parsePrefix(address);
    if (prefix !== null) return prefixes.push(prefix);
    try {
      if (NOT_ONE.test(address)) throw new UsageError("Not an address");
      others.push(parseDestination(address, side, names));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      bad.push(`line ${i + 1} "${line.trim()}"`);
    }
  });
  if (bad.length > 0) throw notAddresses(bad, source);
  if (prefixes.length > 0) others.push({ op: "address", side, prefixes });
  return others.length === 0 ? NOTHING : any(others);
}

function notAddresses(bad: readonly string[], source: string): UsageError {
  const more = bad.length > SHOWN ? ` and ${bad.length - SHOWN} more` : "";
  return new UsageError(
    `Not an address in ${source}: ${
      bad.slice(0, SHOWN).join(", ")
    }${more}: expected an IPv4 or IPv6 address, a prefix ` +
      "such as 10.0.0.0/8, or a host name on each line",
  );
}
