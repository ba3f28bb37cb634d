// Reads a file of addresses, one a line, such as a list of dead pods.

import { readFile } from "../../ffi/files.ts";
import { isSyscallError } from "../../ffi/errno.ts";
import type { Prefix } from "../model/address.ts";
import { UsageError } from "../model/errors.ts";
import { parseDestination, parseNetwork, refuseAddressWithPort } from "./destination.ts";
import { any, type Filter, NOTHING, type Side } from "./filter.ts";
import type { Names } from "./names.ts";

/** Matches `any` and zones. Both select so much that they have to stand on the command line, where they are seen. */
const NOT_ONE = /^any$|^\*$|%/;

/** The size of a million addresses. A larger file is no list, and /dev/zero has no end. */
const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Returns a filter for connections whose address on `side` is on a line of a file: addresses, prefixes or host names. A `#`
 * starts a comment, and empty lines are ignored. `-` is standard input. A file without addresses selects nothing.
 *
 * @throws {UsageError} For a file that cannot be read, or is too large, and for lines that are no address, by number.
 */
export function readAddressList(path: string, side: Side, names: Names): Filter {
  const bytes = readList(path);
  if (bytes.length > MAX_BYTES) {
    throw new UsageError(`The file of addresses "${path}" is larger than ${MAX_BYTES / 1024 ** 2} MiB: give several`, {
      code: "unavailable",
    });
  }
  return parseAddressList(new TextDecoder().decode(bytes), path, side, names);
}

function readList(path: string): Uint8Array {
  try {
    return readFile(path === "-" ? "/dev/stdin" : path, MAX_BYTES);
  } catch (error) {
    if (!isSyscallError(error)) throw error;
    throw new UsageError(`Cannot read the file of addresses "${path}": ${error.code}`, {
      code: "unavailable",
      cause: error,
    });
  }
}

/** Parses the text of such a file. Messages call the file `source`. */
export function parseAddressList(text: string, source: string, side: Side, names: Names): Filter {
  const prefixes: Prefix[] = [];
  const others: Filter[] = [];
  const bad: number[] = [];
  text.split("\n").forEach((line, i) => {
    const comment = line.indexOf("#");
    const address = (comment < 0 ? line : line.slice(0, comment)).trim();
    if (address === "") return;
    const prefix = networkIn(address, i + 1, source);
    if (prefix !== null) return prefixes.push(prefix);
    try {
      if (NOT_ONE.test(address)) throw new UsageError("Not an address");
      others.push(parseDestination(address, side, names));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      bad.push(i + 1);
    }
  });
  if (bad.length > 0) throw notAddresses(bad, source);
  if (prefixes.length > 0) others.push({ op: "address", side, prefixes });
  return others.length === 0 ? NOTHING : any(others);
}

function networkIn(address: string, line: number, source: string): Prefix | null {
  try {
    refuseAddressWithPort(address);
    return parseNetwork(address);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`Line ${line} of ${source}: ${error.message}`, { code: error.code, cause: error });
  }
}

/** Names lines by number only. A user who may run nothing but tcphup as root must not read other files with it. */
function notAddresses([first, ...others]: readonly number[], source: string): UsageError {
  const more = others.length > 0 ? ` and ${others.length} more` : "";
  return new UsageError(
    `Not an address in ${source}: line ${first}${more}: expected an IPv4 or IPv6 address, a prefix such as 10.0.0.0/8, ` +
      "or a host name on each line",
  );
}
