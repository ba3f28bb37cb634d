// A few prefixes that hold everything that many hold, for where only a few can be afforded.

import { maskWords, type Prefix, type Words } from "../address.ts";
import { isIPv4Prefix } from "./prefix_set.ts";

/**
 * At most `limit` prefixes (of each family) that hold every address of `prefixes`, and as few others as cutting the
 * sorted list at its widest gaps can do.
 */
export function cover(prefixes: readonly Prefix[], limit: number): Prefix[] {
  const ipv4 = prefixes.filter(isIPv4Prefix);
  const ipv6 = ipv4.length === prefixes.length ? [] : prefixes.filter((prefix) => !isIPv4Prefix(prefix));
  return [
    ...(ipv4.length <= limit ? ipv4 : coverFamily(sortIPv4(ipv4), limit)),
    ...(ipv6.length <= limit ? ipv6 : coverFamily(ipv6.toSorted(compare), limit)),
  ];
}

/** Numbers are sorted many times faster than objects: 32 bits of the address, then 6 of the length. */
function sortIPv4(prefixes: readonly Prefix[]): Prefix[] {
  const keys = Float64Array.from(prefixes, ({ words, length }) => words[3] * 64 + length - 96);
  return Array.from(keys.sort(), (key) => ({ words: [0, 0, 0xffff, Math.floor(key / 64)], length: key % 64 + 96 }));
}

function compare(a: Prefix, b: Prefix): number {
  const [v, w] = [a.words, b.words];
  return v[0] - w[0] || v[1] - w[1] || v[2] - w[2] || v[3] - w[3] || a.length - b.length;
}

function coverFamily(sorted: readonly Prefix[], limit: number): Prefix[] {
  const cuts = widestGaps(sorted, limit - 1);
  const groups = [0, ...cuts].map((from, i) => over(sorted, from, cuts[i] ?? sorted.length));
  const whole = over(sorted, 0, sorted.length);
  // Many conditions that let through most of what one would are worth less than the one.
  return share(groups, whole) > 0.5 ? [whole] : groups;
}

/** Where to cut: behind the `count` neighbours with the shortest common start, in ascending order. */
function widestGaps(sorted: readonly Prefix[], count: number): number[] {
  // The shorter the common start of two neighbours, the more a prefix over both of them would hold besides.
  const byLength: number[][] = Array.from({ length: 129 }, () => []);
  for (let i = 1; i < sorted.length; i++) byLength[commonLength(sorted[i - 1], sorted[i])].push(i);
  return byLength.flat().slice(0, count).sort((a, b) => a - b);
}

/** How much of `whole` the prefixes hold, 1 for all of it (more where they overlap). */
function share(prefixes: readonly Prefix[], whole: Prefix): number {
  return prefixes.reduce((sum, { length }) => sum + 2 ** (whole.length - length), 0);
}

/** The longest prefix that holds those from `from` to `to`. */
function over(sorted: readonly Prefix[], from: number, to: number): Prefix {
  // In between there is nothing that begins otherwise than both ends do, but perhaps something shorter.
  let length = commonLength(sorted[from], sorted[to - 1]);
  for (let i = from; i < to; i++) length = Math.min(length, sorted[i].length);
  return { words: maskWords(sorted[from].words, length), length };
}

/** How many bits all addresses of both prefixes begin with alike. */
function commonLength(a: Prefix, b: Prefix): number {
  return Math.min(commonBits(a.words, b.words), a.length, b.length);
}

function commonBits(a: Words, b: Words): number {
  for (let i = 0; i < 4; i++) {
    if (a[i] !== b[i]) return 32 * i + Math.clz32(a[i] ^ b[i]);
  }
  return 128;
}
