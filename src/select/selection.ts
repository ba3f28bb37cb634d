// A selection of connections, as a person or a program writes it. What it means is worked out by ./compile_selection.ts.

import {
  boolean,
  checkOptions,
  type Checks,
  inRange,
  nested,
  oneOf,
  oneOrMore,
  text,
  textOrNumber,
} from "../model/options.ts";
import type { IpVersion } from "./destination.ts";

/** One, or several of which one suffices. */
export type OneOrMore<T> = T | readonly T[];

/** Conditions on connections. Every kind that is given must hold; of each kind one value suffices. */
export interface Criteria {
  /** The peer: an address, a prefix, a host name (each of its addresses), or `any`. */
  dst?: OneOrMore<string>;
  /** Files of peers, one a line; of the same kind as `dst`. */
  dstFile?: OneOrMore<string>;
  /** This host's end, as `dst`. */
  src?: OneOrMore<string>;
  /** The peer's port: a number, a range such as `8000-8100`, a service name; `0` or `any` for every port. */
  dport?: OneOrMore<string | number>;
  /** This host's port, as `dport`. */
  sport?: OneOrMore<string | number>;
  /** Filters in the language of ss(8). */
  filter?: OneOrMore<string>;
  /** States, and sets of them, as ss(8) names them. */
  state?: OneOrMore<string>;
  /** The interface that the socket is bound to, by name or index. */
  interface?: OneOrMore<string>;
  /** SO_MARK, as `MARK` or `MARK/MASK`. Only CAP_NET_ADMIN sees it. */
  mark?: OneOrMore<string | number>;
  /** The user that the socket belongs to, by name or number. */
  user?: OneOrMore<string | number>;
  /** No data either way for so many milliseconds. */
  idleForMs?: number;
  /** Nothing heard from the peer for so many milliseconds: neither data nor an acknowledgement. */
  silentForMs?: number;
  /** Data that the peer does not acknowledge is being sent again. */
  stalled?: boolean;
  /** The peer has hung up, the application has not closed it. */
  closeWait?: boolean;
  /** SO_KEEPALIVE is off. It is asked of a duplicate of the owner's descriptor. */
  noKeepalive?: boolean;
  /** The local address is no longer one of this host's, in the connection's network namespace. */
  srcGone?: boolean;
  /** Processes that hold it, by number. */
  pid?: OneOrMore<string | number>;
  /** Patterns of the names of processes (/proc/PID/comm). */
  comm?: OneOrMore<string>;
  /** Patterns of programs (/proc/PID/exe): of their paths where they contain a slash, else of their last part. */
  exe?: OneOrMore<string>;
  /** Control groups of processes: a path and all below it, a name of one, a pod or a container by its id. */
  cgroup?: OneOrMore<string>;
  /** Containers, by the start of their id, with or without the runtime in front: `containerd://ID`. */
  container?: OneOrMore<string>;
  /** Network namespaces: a name, a process, a path, or `all`. Without any, the one that tcphup runs in. */
  netns?: OneOrMore<string>;
}

/** A selection of connections. */
export interface Selection extends Criteria {
  /** Only connections over this version of IP. */
  version?: IpVersion;
  /** Each process in `pid` stands for its descendants too. */
  children?: boolean;
  /** A control group in `cgroup` that is not there holds nothing, and is no error: where a fleet is asked for its own. */
  missingOk?: boolean;
  /** Connections to leave out: all for which one of these values holds. */
  not?: Criteria;
}

const CRITERIA_CHECKS: Checks<Criteria> = {
  dst: oneOrMore(text),
  dstFile: oneOrMore(text),
  src: oneOrMore(text),
  dport: oneOrMore(textOrNumber),
  sport: oneOrMore(textOrNumber),
  filter: oneOrMore(text),
  state: oneOrMore(text),
  interface: oneOrMore(text),
  mark: oneOrMore(textOrNumber),
  user: oneOrMore(textOrNumber),
  // tcp_info counts milliseconds in a u32.
  idleForMs: inRange({ minimum: 1, maximum: 2 ** 32 - 1, expected: "1ms to 49 days" }),
  silentForMs: inRange({ minimum: 1, maximum: 2 ** 32 - 1, expected: "1ms to 49 days" }),
  stalled: boolean,
  closeWait: boolean,
  noKeepalive: boolean,
  srcGone: boolean,
  pid: oneOrMore(textOrNumber),
  comm: oneOrMore(text),
  exe: oneOrMore(text),
  cgroup: oneOrMore(text),
  container: oneOrMore(text),
  netns: oneOrMore(text),
};

const SELECTION_CHECKS: Checks<Selection> = {
  ...CRITERIA_CHECKS,
  version: oneOf([4, 6]),
  children: boolean,
  missingOk: boolean,
  not: nested(CRITERIA_CHECKS),
};

/** Checks the types and the ranges of what a selection has. @throws {UsageError} */
export function validateSelection(selection: Selection): void {
  checkOptions(selection, SELECTION_CHECKS, "selection");
}

/** Returns the values of a criterion as a list. */
export function listOf<T extends string | number>(values: OneOrMore<T> | undefined): readonly T[] {
  return values === undefined ? [] : typeof values === "object" ? values : [values];
}

/** Returns a selection without the criteria that ask for nothing. */
export function givenCriteria(selection: Selection): Selection {
  const given = Object.entries(selection).flatMap(([name, value]) => {
    if (name !== "not") return isGiven(value) ? [[name, value]] : [];
    const excluded = givenCriteria(value);
    return Object.keys(excluded).length > 0 ? [[name, excluded]] : [];
  });
  return Object.fromEntries(given);
}

/** Tells whether the value of a criterion asks for something. */
export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
}
