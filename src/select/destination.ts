// Parses addresses and ports of a selection.

import {
  type Address,
  formatAddress,
  formatPrefix,
  hostPrefix,
  isIPv4,
  parseAddress,
  parsePrefix,
  type Prefix,
} from "../model/address.ts";
import { UsageError } from "../model/errors.ts";
import { OPTION_WORDING, usageError, type Wording } from "../model/wording.ts";
import { EVERYTHING, type Filter, type Side } from "./filter.ts";
import { suggestAddress, suggestAddressWithPort, suggestPort } from "./hints.ts";
import type { Names } from "./names.ts";
import { ALL_OF_IPV4 } from "./prefix_set.ts";

/** Restricts a selection to connections over one of the two versions of IP. */
export type IpVersion = 4 | 6;

const FORMS = "expected an IPv4 or IPv6 address, a prefix such as 10.0.0.0/8, a host name, or any";

/**
 * A host name of RFC 1123, with the underscore of DNS. Other text is never sent to a resolver: it may come from a secret
 * file.
 */
const HOST_NAME = /^(?=.{1,254}$)[\w-]{1,63}(?:\.[\w-]{1,63})*\.?$/;

/** Whether a text can only be meant as an address, because no host name looks like it. */
function looksNumeric(text: string): boolean {
  return text.includes(":") || text.includes("/") || /^[\d.]+$/.test(text);
}

/** Whether a text is a host name, and not meant as an address or as any. */
export function isHostName(text: string): boolean {
  return HOST_NAME.test(text) && !looksNumeric(text) && !isAnyAddress(text);
}

/** Returns a filter for connections over one version of IP. V4-mapped addresses are IPv4. */
export function versionFilter(version: IpVersion): Filter {
  const four: Filter = { op: "address", side: "dst", prefixes: [ALL_OF_IPV4] };
  return version === 4 ? four : { op: "not", term: four };
}

/** Tells whether an address means every address. */
export function isAnyAddress(text: string): boolean {
  return text === "any" || text === "*";
}

/** Tells whether a port means every port. */
export function isAnyPort(text: string): boolean {
  return text === "0" || text === "any" || text === "*";
}

/**
 * Returns a filter for connections whose address on `side` is `text`: an IPv4 or IPv6 address (in brackets or not, with a
 * zone as in `fe80::1%eth0`), a prefix, a host name (each of its addresses), or `any`.
 *
 * @throws {UsageError}
 */
export function parseDestination(text: string, side: Side, names: Names, version?: IpVersion): Filter {
  if (isAnyAddress(text)) return version ? versionFilter(version) : EVERYTHING;
  const [brackets, inside = text, length = ""] = /^\[([^\]]*:[^\]]*)\](\/\d+)?$/.exec(text) ?? [];
  if (brackets === undefined) refuseAddressWithPort(text);
  const [, address = "", zone] = /^([^%]*)(?:%(.*))?$/s.exec(inside) ?? [];
  const prefixes = parsePrefixes(address + length, { text, side, names });
  const chosen = prefixes.filter((prefix) => version === undefined || isIPv4(prefix) === (version === 4));
  if (chosen.length === 0) {
    throw usageError(
      ({ quote }) => `"${text}" has no IPv${version} address, which ${quote("version", version)} asks for`,
      { code: "conflict" },
    );
  }
  const filter: Filter = { op: "address", side, prefixes: chosen };
  if (zone === undefined) return filter;
  return { op: "all", terms: [filter, { op: "interface", index: names.interfaceIndex(zone) }] };
}

/** Refuses an address that reads like an address with a port. @throws {UsageError} */
export function refuseAddressWithPort(text: string): void {
  const suggestion = suggestAddressWithPort(text);
  if (suggestion === null) return;
  throw new UsageError(`"${text}" is an address without a port: expected ${suggestion}`, { code: "ambiguous" });
}

/**
 * Reads an address or a prefix; null for neither.
 *
 * @throws {UsageError} For a prefix with bits set beyond its length. It could mean one address or the whole network, and
 * that decides which connections are cut. Filters of ss(8), where it means the network, are parsed by ss/operands.ts.
 */
export function parseNetwork(text: string): Prefix | null {
  const prefix = parsePrefix(text);
  if (prefix === null || prefix.length === 128) return prefix;
  const address = parseAddress(text.slice(0, text.indexOf("/")))!;
  if (address.words.every((word, i) => word === prefix.words[i])) return prefix;
  const whole = `${formatAddress(address)}/${isIPv4(address) ? 32 : 128}`;
  throw new UsageError(`Prefix "${text}" has bits beyond its length: expected ${whole} or ${formatPrefix(prefix)}`, {
    code: "ambiguous",
  });
}

function parsePrefixes(address: string, { text, side, names }: { text: string; side: Side; names: Names }): Prefix[] {
  const prefix = parseNetwork(address);
  if (prefix) return [prefix];
  if (looksNumeric(address) || !HOST_NAME.test(address)) {
    throw usageError((words) => `Not an address: "${text}": ${suggestAddress(text, side, words) ?? FORMS}`);
  }
  return names.addresses(address).map(hostPrefix);
}

/**
 * Returns a filter for connections whose port on `side` is `text`: a number, a range such as `8000-8100`, or a service
 * name. `0` and `any` mean every port.
 *
 * @throws {UsageError}
 */
export function parsePort(text: string, side: Side, names: Names): Filter {
  if (isAnyPort(text)) return EVERYTHING;
  const range = /^(-?\d+)(?:-(\d+))?$/.exec(text);
  if (!range) {
    if (text.trim() === "") {
      throw new UsageError('Port "" is empty: expected a number, a range, a service name, or any');
    }
    const suggest = (words: Wording) => suggestPort(text, side, words);
    if (suggest(OPTION_WORDING) !== null) throw usageError((words) => `Not a port: "${text}": ${suggest(words)}`);
    if (/^\d*-\d*$/.test(text)) {
      throw new UsageError(`Port range "${text}" lacks an end: expected both, as in 8000-8100`);
    }
    const port = names.port(text);
    return { op: "port", side, from: port, to: port };
  }
  const from = Number(range[1]);
  const to = range[2] === undefined ? from : Number(range[2]);
  if (from < 0 || to > 65535) {
    throw new UsageError(`Port "${text}" is out of range: expected 0 to 65535`, { code: "out-of-range" });
  }
  if (from > to) throw new UsageError(`Port range "${text}" is empty: expected the lower port first`);
  return { op: "port", side, from, to };
}

/**
 * Reads where connections can be made to: `ADDRESS` or `ADDRESS:PORT`, an IPv6 address with a port in brackets.
 *
 * @throws {UsageError} When it is something else, or an address of no host in particular.
 */
export function parseEndpoint(text: string): { address: Address; port: number | null } {
  const [, addressText = text, portText] = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:]+):(\d+)$/.exec(text) ?? [];
  const address = parseAddress(addressText);
  const port = portText === undefined ? null : Number(portText);
  const isPort = port === null || (port > 0 && port < 0x10000);
  if (address !== null && isPort && !isNobody(address)) return { address, port };
  throw new UsageError(
    `Not an address to connect to: "${text}": expected ADDRESS or ADDRESS:PORT, as in 10.0.0.6:5432 or [2001:db8::6]:5432`,
  );
}

/** Whether it is the unspecified address, or one that needs an interface beside it. */
function isNobody(address: Address): boolean {
  const { words } = address;
  const isUnspecified = words[3] === 0 && (isIPv4(address) || words.every((word) => word === 0));
  const isLinkLocal = words[0] >>> 22 === 0xfe80 >>> 6;
  return isUnspecified || isLinkLocal;
}
