// Reads the operands of ss(8)'s filter language: hosts, ports, interfaces, marks, cgroups. Each reader throws
// a UsageError for a text that is none, and lets through the ones that `names` throws for a name that nothing has.

import { hostPrefix, isIPv4, parseAddress, parsePrefix, type Prefix } from "../../model/address.ts";
import { UsageError } from "../../model/errors.ts";
import { all, EVERYTHING, type Filter, NOTHING, type Side } from "../filter.ts";
import type { FilterNames } from "../names.ts";
import { ALL_OF_IPV4 } from "../prefix_set.ts";

/** A comparison of ports. */
export type Comparison = "=" | "!=" | ">=" | "<=" | ">" | "<";

type Family = "inet" | "inet6";

const ALL_OF: Readonly<Record<Family, Prefix>> = {
  inet: ALL_OF_IPV4,
  inet6: { words: [0, 0, 0, 0], length: 0 },
};

/**
 * `[FAMILY:]ADDRESS[:PORT]`, where each of the two may be `*` or empty, though not both empty. ADDRESS is an IPv4
 * address or a prefix such as `10/8` or `10.0.0.0/255.0.0.0`; an IPv6 address in brackets, with its prefix length and its
 * zone (`%eth0`) within or behind them; or a host name, which stands for all of its addresses.
 */
export function readHost(text: string, side: Side, names: FilterNames): Filter {
  const { family, rest } = splitFamily(text);
  if (rest === "" || rest === ":") throw new UsageError(`Expected an address, a port or both, found "${text}"`);
  const { address, port } = splitPort(rest);
  return all([
    readAddress(address, side, family, names),
    isWild(port) ? EVERYTHING : comparePort(side, "=", portNumber(port, names)),
  ]);
}

/** `[FAMILY:][:]PORT`: a number, a service name, or `*` for any. */
export function readPort(text: string, side: Side, comparison: Comparison, names: FilterNames): Filter {
  const { family, rest } = splitFamily(text);
  const port = rest.replace(/^:/, "");
  const inFamily = family === undefined ? EVERYTHING : within(side, [ALL_OF[family]]);
  if (port === "") throw new UsageError(`Expected a port, found "${text}"`);
  if (port !== "*") return all([inFamily, comparePort(side, comparison, portNumber(port, names))]);
  if (comparison !== "=") {
    throw new UsageError(`No port is ${comparison} any port: expected a number or a service name`);
  }
  return inFamily;
}

/** `MARK` or `MARK/MASK`, decimal or hexadecimal with 0x. */
export function readMark(text: string): Filter {
  const [, valueText = "", maskText = "0xffffffff"] = /^([^/]*)(?:\/(.*))?$/s.exec(text)!;
  const value = wholeNumber(valueText, 0xffffffff);
  const mask = wholeNumber(maskText, 0xffffffff);
  if (value === null || mask === null) {
    throw new UsageError(`Expected a mark or mark/mask, such as 0x10 or 0x10/0xff, found "${text}"`);
  }
  return { op: "mark", value, mask };
}

/** The name of an interface, or its index; 0 for sockets that are bound to none. */
export function readDevice(text: string, names: FilterNames): Filter {
  try {
    return { op: "interface", index: names.interfaceIndex(text) };
  } catch (error) {
    // An interface may be called "7", so a number is an index only where nothing has that name.
    const index = wholeNumber(text, 0x7fffffff);
    if (!(error instanceof UsageError) || index === null) throw error;
    return { op: "interface", index };
  }
}

/** The path of a cgroup v2 directory, absolute or below the mount. */
export function readCgroup(text: string, names: FilterNames): Filter {
  return { op: "cgroup", id: names.cgroupId(text) };
}

function splitFamily(text: string): { family?: Family; rest: string } {
  const [, family, rest = ""] = /^(inet6?|unix|link|netlink|vsock|tipc|xdp):(.*)$/s.exec(text) ?? [];
  if (family === undefined) return { rest: text };
  if (family !== "inet" && family !== "inet6") {
    throw new UsageError(`Only TCP is hung up on: expected the family inet or inet6, found "${family}"`);
  }
  return { family, rest };
}

/** Splits at the colon before the port, and takes the brackets off. */
function splitPort(text: string): { address: string; port: string } {
  const bracketed = /^\[([^\]]*)\](\/\d+)?(?::(.*))?$/s.exec(text);
  if (bracketed) return { address: bracketed[1] + (bracketed[2] ?? ""), port: bracketed[3] ?? "" };
  // In "2001:db8::/32:443" it is clear which colon is meant, in "2001:db8::443" it is not.
  const slash = Math.max(0, text.indexOf("/"));
  const colon = text.indexOf(":", slash);
  if (colon < 0) return { address: text, port: "" };
  if (text.includes(":", colon + 1)) {
    throw new UsageError(`Expected an IPv6 address in brackets, such as [::1] or [::1]:443, found "${text}"`);
  }
  return { address: text.slice(0, colon), port: text.slice(colon + 1) };
}

function isWild(text: string): boolean {
  return text === "" || text === "*";
}

function within(side: Side, prefixes: readonly Prefix[]): Filter {
  return { op: "address", side, prefixes };
}

function readAddress(text: string, side: Side, family: Family | undefined, names: FilterNames): Filter {
  if (isWild(text) || text === "any" || text === "all" || text === "default") {
    return family === undefined ? EVERYTHING : within(side, [ALL_OF[family]]);
  }
  const [, address, zone, length = ""] = /^([^%/]*)(?:%([^/]+))?(\/.*)?$/s.exec(text) ?? [, text];
  const isOfFamily = (prefix: Prefix) => family === undefined || isIPv4(prefix) === (family === "inet");
  const prefixes = readPrefixes(address! + length, names).filter(isOfFamily);
  if (prefixes.length === 0) throw new UsageError(`"${text}" has no ${family} address`);
  return zone === undefined
    ? within(side, prefixes)
    : all([within(side, prefixes), { op: "interface", index: names.interfaceIndex(zone) }]);
}

function readPrefixes(text: string, names: FilterNames): Prefix[] {
  const prefix = parsePrefix(text) ?? parsePrefix(spelledOut(text));
  if (prefix !== null) return [prefix];
  if (/^[\d.]*$|[:/\s]/.test(text)) {
    throw new UsageError(
      `Expected an IPv4 or IPv6 address, a prefix such as 10.0.0.0/8, or a host name, found "${text}"`,
    );
  }
  return names.addresses(text).map(hostPrefix);
}

/**
 * "193.233.7/24", and "193.233.7.0/255.255.255.0" with it, as "193.233.7.0/24": to ss(8) the octets that are left out
 * are 0.
 */
function spelledOut(text: string): string {
  const [, octets, mask = ""] = /^([\d.]+)\/([\d.]+)$/.exec(text) ?? [];
  if (octets === undefined) return text;
  return `${`${octets}.0.0.0`.split(".").slice(0, 4).join(".")}/${mask.includes(".") ? maskLength(mask) : mask}`;
}

/** Returns the length of the prefix that a netmask stands for; NaN for other text. */
function maskLength(mask: string): number {
  const word = parseAddress(mask)?.words[3] ?? NaN;
  const bits = Math.clz32(~word);
  return word === (-1 << (32 - bits)) >>> 0 || word === 0 ? bits : NaN;
}

function comparePort(side: Side, comparison: Comparison, port: number): Filter {
  const between = (from: number, to: number): Filter => from > to ? NOTHING : { op: "port", side, from, to };
  switch (comparison) {
    case "=":
      return between(port, port);
    case "!=":
      return { op: "not", term: between(port, port) };
    case ">=":
      return between(port, 65535);
    case "<=":
      return between(0, port);
    case ">":
      return between(port + 1, 65535);
    case "<":
      return between(0, port - 1);
  }
}

function portNumber(text: string, names: FilterNames): number {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text) ?? [];
  if (from !== undefined) {
    throw new UsageError(
      `A range of ports is two comparisons, as in "dport >= :${from} and dport <= :${to}", not "${text}"`,
    );
  }
  // No service is named like a number, so this is one that went wrong.
  if (!/^[-+]?\d+$|^0x/i.test(text)) return names.port(text);
  const port = wholeNumber(text, 65535);
  if (port === null) throw new UsageError(`Expected a port from 0 to 65535 or a service name, found "${text}"`);
  return port;
}

/** A decimal number, or a hexadecimal one with 0x; null for another text. A leading zero is octal to some: refused. */
function wholeNumber(text: string, maximum: number): number | null {
  const number = /^(0|[1-9]\d*|0x[\da-f]+)$/i.test(text) ? Number(text) : NaN;
  return number <= maximum ? number : null;
}
