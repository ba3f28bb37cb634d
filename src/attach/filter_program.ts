// Compiles a filter to the part of a program by which the program chooses sockets. The prefixes of its addresses are kept in
// LPM tries.

import { type Emit, emitAddress, emitAlways, emitIPv4, emitNetns } from "../bpf/conditions.ts";
import { maskWords, type Prefix } from "../model/address.ts";
import type { Condition, Filter, Side } from "../select/filter.ts";
import { ALL_OF_IPV4, isAllOfIPv4, isIPv4Prefix } from "../select/prefix_set.ts";

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

/** Returns the entries of prefixes. An IPv6 prefix holds no IPv4 address, even if its bits fit v4-mapped ones. */
export function trieEntries(prefixes: readonly Prefix[]): TrieEntry[] {
  const entries = prefixes.map((prefix) => ({ prefix, isChosen: true }));
  const holdsMapped = prefixes.some((prefix) => {
    const masked = maskWords(ALL_OF_IPV4.words, prefix.length);
    return !isIPv4Prefix(prefix) && masked.every((word, i) => word === prefix.words[i]);
  });
  if (!holdsMapped || prefixes.some(isAllOfIPv4)) return entries;
  return [{ prefix: ALL_OF_IPV4, isChosen: false }, ...entries];
}

/** struct {u32 length; u8 address[16]}: the key of an LPM trie. */
const TRIE_KEY_SIZE = 20;

/** Encodes the key of an entry. */
export function encodeTrieKey({ prefix: { words, length } }: TrieEntry): Uint8Array {
  const view = new DataView(new ArrayBuffer(TRIE_KEY_SIZE));
  view.setUint32(0, length, true);
  words.forEach((word, i) => view.setUint32(4 + 4 * i, word));
  return new Uint8Array(view.buffer);
}
