// A set of thousands of prefixes, which is asked once for each row of a dump. It has a hash table for each length that
// occurs, so that a lookup costs as much as there are different lengths, not prefixes.

import { isIPv4, maskWords, type Prefix, type Words } from "../model/address.ts";

/** IPv4 prefixes of one length. For single numbers the engine's own Set is the fastest table. */
class IPv4Table {
  readonly #mask: number;
  readonly #words: ReadonlySet<number>;

  constructor(length: number, prefixes: readonly Prefix[]) {
    const [, , , mask] = maskWords([~0, ~0, ~0, ~0], length);
    this.#mask = mask;
    this.#words = new Set(prefixes.map(({ words }) => words[3] & mask));
  }

  has(word: number): boolean {
    return this.#words.has(word & this.#mask);
  }
}

/** IPv6 prefixes of one length. */
class IPv6Table {
  readonly #masks: Words;
  /** The prefixes by the hash of their words. Hardly ever do two have the same. */
  readonly #prefixes: ReadonlyMap<number, readonly Words[]>;

  constructor(length: number, prefixes: readonly Prefix[]) {
    this.#masks = maskWords([~0, ~0, ~0, ~0], length);
    this.#prefixes = Map.groupBy(prefixes.map(({ words }) => maskWords(words, length)), (words) => hash(...words));
  }

  has(w0: number, w1: number, w2: number, w3: number): boolean {
    const masks = this.#masks;
    // Without `>>> 0` the words would compare as signed numbers with the unsigned ones of the prefixes.
    const [a, b, c, d] = [(w0 & masks[0]) >>> 0, (w1 & masks[1]) >>> 0, (w2 & masks[2]) >>> 0, (w3 & masks[3]) >>> 0];
    for (const words of this.#prefixes.get(hash(a, b, c, d)) ?? []) {
      if (words[3] === d && words[2] === c && words[1] === b && words[0] === a) return true;
    }
    return false;
  }
}

function hash(w0: number, w1: number, w2: number, w3: number): number {
  return Math.imul(w3 ^ Math.imul(w2 ^ Math.imul(w1 ^ Math.imul(w0, 0x9e3779b1), 0x85ebca6b), 0xc2b2ae35), 0x27d4eb2f);
}

/** Returns a table for each length among the prefixes. */
function tables<T>(prefixes: readonly Prefix[], Table: new (length: number, prefixes: readonly Prefix[]) => T): T[] {
  return [...Map.groupBy(prefixes, ({ length }) => length)].map(([length, some]) => new Table(length, some));
}

/**
 * Whether a prefix holds IPv4 addresses. Otherwise it holds IPv6 addresses alone, even if its bits fit v4-mapped addresses.
 */
export function isIPv4Prefix(prefix: Prefix): boolean {
  return prefix.length >= 96 && isIPv4(prefix);
}

/** The prefix of all IPv4 addresses: ::ffff:0:0/96. */
export const ALL_OF_IPV4: Prefix = { words: [0, 0, 0xffff, 0], length: 96 };

/** Whether a prefix holds every IPv4 address. */
export function isAllOfIPv4(prefix: Prefix): boolean {
  return isIPv4Prefix(prefix) && prefix.length === 96;
}

/** A set of prefixes, IPv4 and IPv6. */
export class PrefixSet {
  readonly #ipv4: readonly IPv4Table[];
  readonly #ipv6: readonly IPv6Table[];

  constructor(prefixes: readonly Prefix[]) {
    this.#ipv4 = tables(prefixes.filter(isIPv4Prefix), IPv4Table);
    this.#ipv6 = tables(prefixes.filter((prefix) => !isIPv4Prefix(prefix)), IPv6Table);
  }

  /** Whether a prefix of the set holds the address with these words (canonical: see ../model/address.ts). */
  has(w0: number, w1: number, w2: number, w3: number): boolean {
    if (w0 === 0 && w1 === 0 && w2 === 0xffff) {
      for (const table of this.#ipv4) if (table.has(w3)) return true;
    } else {
      for (const table of this.#ipv6) if (table.has(w0, w1, w2, w3)) return true;
    }
    return false;
  }
}
