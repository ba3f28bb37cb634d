// Aggregates many prefixes into few that hold at least the same addresses.

import { maskWords, type Prefix, type Words } from "../model/address.ts";
import { isIPv4Prefix } from "./prefix_set.ts";

/**
 * Returns at most `limit` prefixes of each family that hold every address of `prefixes`. The sorted list is cut at its
 * widest gaps, so that few other addresses are in them.
 */
export function aggregatePrefixes(prefixes: readonly Prefix[], limit: number): Prefix[] {
  const families = [prefixes.filter(isIPv4Prefix), prefixes.filter((prefix) => !isIPv4Prefix(prefix))];
  return families.flatMap((family) => family.length <= limit ? family : cover(family, limit));
}

function cover(prefixes: readonly Prefix[], limit: number): Prefix[] {
  const sorted = prefixes.toSorted((a, b) => compareWords(a.words, b.words) || a.length - b.length);
  const cuts = widestGaps(sorted, limit - 1);
  const groups = [0, ...cuts].map((from, i) => supernet(sorted.slice(from, cuts[i])));
  const whole = supernet(sorted);
  // Many conditions cost more than one, and here would hardly let fewer sockets through.
  return share(groups, whole) > 0.5 ? [whole] : groups;
}

function compareWords(a: Words, b: Words): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];
}

/**
 * Returns where to cut, in ascending order: between the `count` pairs of neighbours with the shortest common start. The
 * shorter the common start, the more other addresses a prefix over both neighbours would hold.
 */
function widestGaps(sorted: readonly Prefix[], count: number): number[] {
  const lengths = new Uint8Array(sorted.length);
  const counts = new Uint32Array(129);
  for (let i = 1; i < lengths.length; i++) counts[lengths[i] = commonLength(sorted[i - 1]!, sorted[i]!)]!++;
  let longest = 0;
  let left = count;
  while (left > counts[longest]!) left -= counts[longest++]!;
  const cuts: number[] = [];
  for (let i = 1; i < lengths.length; i++) {
    if (lengths[i]! < longest || (lengths[i] === longest && left-- > 0)) cuts.push(i);
  }
  return cuts;
}

/** Returns the length of the longest prefix that holds both. */
function commonLength(a: Prefix, b: Prefix): number {
  const word = ([0, 1, 2, 3] as const).find((i) => a.words[i] !== b.words[i]);
  const bits = word === undefined ? 128 : 32 * word + Math.clz32(a.words[word] ^ b.words[word]);
  return Math.min(bits, a.length, b.length);
}

/** Returns the share of `whole` that the prefixes hold: 1 for all of it, more when they overlap. */
function share(prefixes: readonly Prefix[], whole: Prefix): number {
  return prefixes.reduce((sum, { length }) => sum + 2 ** (whole.length - length), 0);
}

/** Returns the longest prefix that holds all of `sorted`. */
function supernet(sorted: readonly Prefix[]): Prefix {
  const [first, last] = [sorted[0]!, sorted.at(-1)!];
  // In a sorted list every prefix between two others shares their common start, but may be shorter.
  const length = sorted.reduce((shortest, { length }) => Math.min(shortest, length), commonLength(first, last));
  return { words: maskWords(first.words, length), length };
}
