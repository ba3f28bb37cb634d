// Aggregates many prefixes into few that hold at least the same addresses.

import { maskWords, type Prefix, type Words } from "../model/address.ts";
import { isIPv4Prefix } from "./prefix_set.ts";

/**
 * Returns at most `limit` prefixes of each family that hold every address of `prefixes`. The sorted list is cut at its
 * widest gaps, so that few other addresses are in them.
 */
export function aggregatePrefixes(prefixes: readonly Prefix[], limit: number): Prefix[] {
  const ipv4 = prefixes.filter(isIPv4Prefix);
  const ipv6 = ipv4.length === prefixes.length ? [] : prefixes.filter((prefix) => !isIPv4Prefix(prefix));
  return [
    ...(ipv4.length <= limit ? ipv4 : coverSorted(new SortedIPv4(ipv4), limit)),
    ...(ipv6.length <= limit ? ipv6 : coverSorted(new SortedIPv6(ipv6), limit)),
  ];
}

/** Prefixes of one family in ascending order. */
interface Sorted {
  readonly size: number;
  /** Returns the length of the longest prefix that holds the prefixes at `i` and `j`. */
  commonLength(i: number, j: number): number;
  /** Returns the length of the shortest prefix from `i` to before `j`. */
  shortest(i: number, j: number): number;
  /** Returns the first `length` bits of the prefix at `i`. */
  start(i: number, length: number): Prefix;
}

/** Prefixes as numbers, which are sorted and compared many times faster than objects. */
class SortedIPv4 implements Sorted {
  readonly #words: Uint32Array;
  readonly #lengths: Uint8Array;

  constructor(prefixes: readonly Prefix[]) {
    // 32 bits of the address, then 8 of the length.
    const keys = Float64Array.from(prefixes, ({ words, length }) => words[3] * 256 + length).sort();
    this.#words = Uint32Array.from(keys, (key) => key / 256);
    this.#lengths = Uint8Array.from(keys);
  }

  get size(): number {
    return this.#words.length;
  }

  commonLength(i: number, j: number): number {
    const bits = 96 + Math.clz32(this.#words[i]! ^ this.#words[j]!);
    return Math.min(bits, this.#lengths[i]!, this.#lengths[j]!);
  }

  shortest(i: number, j: number): number {
    return this.#lengths.subarray(i, j).reduce((a, b) => Math.min(a, b));
  }

  start(i: number, length: number): Prefix {
    return { words: maskWords([0, 0, 0xffff, this.#words[i]!], length), length };
  }
}

class SortedIPv6 implements Sorted {
  readonly #prefixes: readonly Prefix[];

  constructor(prefixes: readonly Prefix[]) {
    this.#prefixes = prefixes.toSorted((a, b) => compareWords(a.words, b.words) || a.length - b.length);
  }

  get size(): number {
    return this.#prefixes.length;
  }

  commonLength(i: number, j: number): number {
    const [a, b] = [this.#prefixes[i]!, this.#prefixes[j]!];
    return Math.min(commonBits(a.words, b.words), a.length, b.length);
  }

  shortest(i: number, j: number): number {
    return this.#prefixes.slice(i, j).reduce((shortest, { length }) => Math.min(shortest, length), 128);
  }

  start(i: number, length: number): Prefix {
    return { words: maskWords(this.#prefixes[i]!.words, length), length };
  }
}

function compareWords(a: Words, b: Words): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];
}

function commonBits(a: Words, b: Words): number {
  const word = ([0, 1, 2, 3] as const).find((i) => a[i] !== b[i]);
  return word === undefined ? 128 : 32 * word + Math.clz32(a[word] ^ b[word]);
}

function coverSorted(sorted: Sorted, limit: number): Prefix[] {
  const cuts = widestGaps(sorted, limit - 1);
  const groups = [0, ...cuts].map((from, i) => supernet(sorted, from, cuts[i] ?? sorted.size));
  const whole = supernet(sorted, 0, sorted.size);
  // Many conditions cost more than one, and here would hardly let fewer sockets through.
  return share(groups, whole) > 0.5 ? [whole] : groups;
}

/**
 * Returns where to cut, in ascending order: between the `count` pairs of neighbours with the shortest common start. The
 * shorter the common start, the more other addresses a prefix over both neighbours would hold.
 */
function widestGaps(sorted: Sorted, count: number): number[] {
  const lengths = new Uint8Array(sorted.size);
  const counts = new Uint32Array(129);
  for (let i = 1; i < lengths.length; i++) counts[lengths[i] = sorted.commonLength(i - 1, i)]!++;
  let longest = 0;
  let left = count;
  while (left > counts[longest]!) left -= counts[longest++]!;
  const cuts: number[] = [];
  for (let i = 1; i < lengths.length; i++) {
    if (lengths[i]! < longest || (lengths[i] === longest && left-- > 0)) cuts.push(i);
  }
  return cuts;
}

/** Returns the share of `whole` that the prefixes hold: 1 for all of it, more when they overlap. */
function share(prefixes: readonly Prefix[], whole: Prefix): number {
  return prefixes.reduce((sum, { length }) => sum + 2 ** (whole.length - length), 0);
}

/** Returns the longest prefix that holds the prefixes from `from` to before `to`. */
function supernet(sorted: Sorted, from: number, to: number): Prefix {
  // In a sorted list every prefix between two others shares their common start, but may be shorter.
  return sorted.start(from, Math.min(sorted.commonLength(from, to - 1), sorted.shortest(from, to)));
}
