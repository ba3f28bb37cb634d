// What the kernel can tell of a selection at the moment a connection is made: its addresses and ports, its user, its network
// namespace and its control group. The rest is refused, in words. Decides also which of two selections is narrower.

import { type Emit, emitAddress, emitAlways, emitIPv4, emitNetns } from "../bpf/conditions.ts";
import { MAX_RANK } from "../bpf/sock_ops.ts";
import { type Address, maskWords, type Prefix } from "../model/address.ts";
import type { UsageError } from "../model/errors.ts";
import { type Message, usageError } from "../model/wording.ts";
import { CONNECTED } from "../model/tcp_states.ts";
import type { CompiledSelection, Criteria, Selection } from "./criteria.ts";
import { type Condition, type Filter, fold, type Side } from "./filter.ts";
import { isIPv4Prefix, PrefixSet } from "./prefix_set.ts";

/** The criteria that nothing tells while a connection is being made. */
const UNTELLABLE = [
  "state",
  "interface",
  "mark",
  "comm",
  "exe",
  "idleForMs",
  "silentForMs",
  "stalled",
  "closeWait",
  "noKeepalive",
  "srcGone",
] as const satisfies readonly (keyof Criteria)[];

/** The criteria by which a program is attached. None of them can be left out from there. */
const PLACES = ["pid", "cgroup", "container"] as const satisfies readonly (keyof Criteria)[];

/** What a program is run for, by the option that asks for the program. */
const MOMENTS = {
  attach: {
    untellable: UNTELLABLE,
    sides: ["src", "dst"],
    tellable:
      "when a connection is made, the kernel tells its addresses, ports, user, network namespace and control group",
  },
  // This host's end is chosen later. A process would be chosen by its control group, where others may be too.
  refuse: {
    untellable: [...UNTELLABLE, "src", "sport", "pid"],
    sides: ["dst"],
    tellable:
      "when connect(2) is called, the kernel tells the peer's address and port, the user, the network namespace and the " +
      "control group",
  },
} as const satisfies Record<string, Moment>;

interface Moment {
  readonly untellable: readonly (keyof Criteria)[];
  readonly sides: readonly Side[];
  /** What the kernel can tell then. */
  readonly tellable: string;
}

/** Returns the error for a criterion, or a part of a filter, that nothing tells. */
type Untellable = (what: Message, option?: string) => UsageError;

/**
 * Checks that the kernel can tell what the selection asks for, at the moment a connection is made or, for `refuse` and
 * `redirect`, when connect(2) is called.
 *
 * @throws {UsageError} When it cannot.
 */
export function requireTellable(
  selection: Selection,
  compiled: CompiledSelection,
  by: "attach" | "refuse" | "redirect" = "attach",
): void {
  const { not: excluded = {} } = selection;
  const moment: Moment = MOMENTS[by === "attach" ? by : "refuse"];
  const untellable: Untellable = (what, option) =>
    usageError((words) => `${words.name(by)} cannot go by ${what(words)}: ${moment.tellable}`, {
      code: "conflict",
      option,
    });
  const given = [
    ...moment.untellable.filter((name) => isGiven(selection, name)),
    ...[...moment.untellable, ...PLACES].filter((name) => isGiven(excluded, name)).map((name) => `not.${name}`),
    ...(selection.children ? ["children"] : []),
  ];
  for (const option of given) throw untellable(({ name }) => name(option), option);
  if (selection.missingOk) {
    throw usageError(
      ({ name }) => `${name(by)} cannot take ${name("missingOk")}: it needs a control group to attach to`,
      { code: "conflict", option: "missingOk" },
    );
  }
  const places = PLACES.filter((name) => isGiven(selection, name));
  if (places.length > 1) {
    throw usageError(
      ({ name }) => `${name(by)} takes one of ${places.map(name).join(" and ")}: each names control groups`,
      { code: "conflict", option: places[0] },
    );
  }
  fold(compiled.filter, (condition) => requireTellableCondition(condition, moment, untellable), () => undefined);
}

function isGiven(criteria: Criteria, name: keyof Criteria): boolean {
  const value = criteria[name];
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
}

/** What a filter of ss(8) calls the conditions that nothing tells. */
const FILTER_WORDS: Partial<Record<Condition["op"], string>> = {
  interface: "dev",
  mark: "fwmark",
  cgroup: "cgroup",
  autobound: "autobound",
  address: "src",
  port: "sport",
};

function requireTellableCondition(condition: Condition, { sides }: Moment, untellable: Untellable): void {
  const { op } = condition;
  if (op === "uid" || ((op === "address" || op === "port") && sides.includes(condition.side))) return;
  if (op === "state" && (condition.mask & CONNECTED) === CONNECTED) return;
  const what = op === "state" ? "the states of a filter" : `${FILTER_WORDS[op] ?? op} of a filter or an address`;
  throw untellable(() => what);
}

/** How a type of programs tells ports and users. */
export interface Vocabulary {
  port(side: Side, from: number, to: number): Emit;
  user(uid: number): Emit;
}

/** What a filter needs before it can be compiled. */
export interface Resources extends Vocabulary {
  /** Returns the descriptor of an LPM trie with these entries. */
  trie(entries: readonly TrieEntry[]): number;
}

/** Compiles a filter that `requireTellable` has passed. */
export function emitFilter(filter: Filter, resources: Resources): Emit {
  return (program, yes, no) => {
    switch (filter.op) {
      case "not":
        return emitFilter(filter.term, resources)(program, no, yes);
      case "all":
      case "any": {
        const isAll = filter.op === "all";
        for (const term of filter.terms) {
          const next = program.newLabel();
          emitFilter(term, resources)(program, isAll ? next : yes, isAll ? no : next);
          program.label(next);
        }
        return emitAlways(isAll)(program, yes, no);
      }
      default:
        return emitCondition(filter, resources)(program, yes, no);
    }
  };
}

function emitCondition(condition: Condition, { trie, port, user }: Resources): Emit {
  switch (condition.op) {
    case "address": {
      const { side, prefixes } = condition;
      return prefixes.length === 1 && prefixes.every(isAllOfIPv4)
        ? emitIPv4(side)
        : emitAddress(side, trie(trieEntries(prefixes)));
    }
    case "port":
      return port(condition.side, condition.from, condition.to);
    case "uid":
      return user(condition.uid);
    // All states of a connection.
    default:
      return emitAlways(true);
  }
}

function isAllOfIPv4(prefix: Prefix): boolean {
  return isIPv4Prefix(prefix) && prefix.length === 96;
}

/** Compiles the network namespaces that a connection must be in, and those that it must not be in. */
export function emitNamespaces(chosen: readonly bigint[] | null, excluded: readonly bigint[]): Emit {
  return (program, yes, no) => {
    const next = program.newLabel();
    if (chosen !== null) emitNetns(chosen)(program, next, no);
    program.label(next);
    if (excluded.length > 0) emitNetns(excluded)(program, no, yes);
    else program.jump(yes);
  };
}

/** An entry of an LPM trie of addresses. */
export interface TrieEntry {
  readonly prefix: Prefix;
  /** Whether addresses whose longest prefix this is are chosen. */
  readonly isChosen: boolean;
}

const IPV4: Prefix = { words: [0, 0, 0xffff, 0], length: 96 };

/** Returns the entries of prefixes. An IPv6 prefix holds no IPv4 address, even if its bits fit v4-mapped ones. */
export function trieEntries(prefixes: readonly Prefix[]): TrieEntry[] {
  const entries = prefixes.map((prefix) => ({ prefix, isChosen: true }));
  const holdsMapped = prefixes.some((prefix) => {
    const masked = maskWords(IPV4.words, prefix.length);
    return !isIPv4Prefix(prefix) && masked.every((word, i) => word === prefix.words[i]);
  });
  if (!holdsMapped || prefixes.some(isAllOfIPv4)) return entries;
  return [{ prefix: IPV4, isChosen: false }, ...entries];
}

/** struct {u32 length; u8 address[16]}: the key of an LPM trie. */
export const TRIE_KEY_SIZE = 20;

/** Encodes the key of an entry. */
export function encodeTrieKey({ prefix: { words, length } }: TrieEntry): Uint8Array {
  const view = new DataView(new ArrayBuffer(TRIE_KEY_SIZE));
  view.setUint32(0, length, true);
  words.forEach((word, i) => view.setUint32(4 + 4 * i, word));
  return new Uint8Array(view.buffer);
}

/** How narrow a selection is. */
interface Narrowness {
  /** The bits of the peer's address that it settles. */
  readonly bits: number;
  /** Whether it goes by something else too. */
  readonly narrows: boolean;
}

/** The deepest control group that counts, as deep as any further down. */
const MAX_DEPTH = MAX_RANK >> 9;

/**
 * Ranks a selection: the deeper its control group the higher, then the longer the prefix of the peer, then with any other
 * condition higher than without.
 *
 * @param depth 0 for the root.
 * @param narrows Whether something beside the filter narrows it.
 */
export function rankOf(filter: Filter, depth: number, narrows: boolean): number {
  const { bits, narrows: alsoNarrows } = fold<Narrowness>(filter, narrownessOf, combine);
  return (Math.min(depth, MAX_DEPTH) << 9) | (bits << 1) | (narrows || alsoNarrows ? 1 : 0);
}

function narrownessOf(condition: Condition, isNegated: boolean): Narrowness {
  if (condition.op === "state") return { bits: 0, narrows: false };
  if (condition.op !== "address" || condition.side !== "dst" || isNegated) return { bits: 0, narrows: true };
  const bits = Math.min(128, ...condition.prefixes.map(({ length }) => length));
  // ::/0 leaves IPv4 out.
  return { bits, narrows: bits === 0 };
}

function combine(op: "all" | "any", terms: readonly Narrowness[]): Narrowness {
  const bits = terms.map((term) => term.bits);
  if (op === "all") return { bits: Math.max(0, ...bits), narrows: terms.some(({ narrows }) => narrows) };
  return { bits: terms.length === 0 ? 0 : Math.min(...bits), narrows: terms.some(({ narrows }) => narrows) };
}

/**
 * Tells whether a filter may choose something of which only a part is known.
 *
 * @param knows Returns whether a condition holds for it; null when that is not known.
 */
export function mayChoose(filter: Filter, knows: (condition: Condition) => boolean | null): boolean {
  return fold(
    filter,
    (condition, isNegated) => knows(condition) !== isNegated,
    (op, terms) => op === "all" ? terms.every(Boolean) : terms.some(Boolean),
  );
}

/** Tells whether a filter may choose a peer's address of a family. */
export function mayChooseFamily(filter: Filter, version: 4 | 6): boolean {
  return mayChoose(filter, (condition) => {
    if (condition.op !== "address" || condition.side !== "dst") return null;
    const prefixes = condition.prefixes.filter((prefix) => isIPv4Prefix(prefix) === (version === 4));
    if (prefixes.length === 0) return false;
    return prefixes.some(({ length }) => length === (version === 4 ? IPV4.length : 0)) ? true : null;
  });
}

/** Tells whether a filter may choose a peer. @param port Null when it may be any. */
export function mayChoosePeer(filter: Filter, address: Address, port: number | null): boolean {
  return mayChoose(filter, (condition) => {
    if (condition.op === "address" && condition.side === "dst") {
      return new PrefixSet(condition.prefixes).has(...address.words);
    }
    if (condition.op !== "port" || condition.side !== "dst" || port === null) return null;
    return condition.from <= port && port <= condition.to;
  });
}
