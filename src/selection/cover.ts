// A few prefixes that hold everything that many hold, for where only a few can be afforded.

import { maskWords, type Prefix, type Words } from "../address.ts";
import { isIPv4Prefix } from "./prefix_set.ts";

/**
 * At most `limit` prefixes (of each family) that hold every address of `prefixes`, and as few others as cutting the
 * sorted list at its widest gaps can do.
 */
export function cover(prefixes: readonly Prefix[], limit: number): Prefix[] {
  const ipv4 = prefixes.filter(isIPv4Prefix);
  const ipv6 = prefixes.filter((prefix) => !isIPv4Prefix(prefix));
  return [ipv4, ipv6].flatMap((family) => family.length <= limit ? family : coverFamily(family, limit));
}

function coverFamily(prefixes: readonly Prefix[], limit: number): Prefix[] {
  const sorted = prefixes.toSorted((a, b) => compareWords(a.words, b.words) || a.length - b.length);
  // The shorter the common start of two neighbours, the more a prefix over both of them would hold besides.
  const gaps = sorted.slice(1).map((prefix, i) => ({ at: i + 1, length: common(sorted[i], prefix).length }));
  const cuts = gaps.sort((a, b) => a.length - b.length).slice(0, limit - 1).map(({ at }) => at).sort((a, b) => a - b);
  const groups = [0, ...cuts].map((from, i) => sorted.slice(from, cuts[i]).reduce(common));
  const whole = groups.reduce(common);
  // Many conditions that let through most of what one would are worth less than the one.
  return share(groups, whole) > 0.5 ? [whole] : groups;
}

/** How much of `whole` the prefixes hold, 1 for all of it (more where they overlap). */
function share(prefixes: readonly Prefix[], whole: Prefix): number {
  return prefixes.reduce((sum, { length }) => sum + 2 ** (whole.length - length), 0);
}

/** The longest prefix that holds all that two prefixes hold. */
function common(a: Prefix, b: Prefix): Prefix {
  const word = a.words.findIndex((bits, i) => bits !== b.words[i]);
  const same = word < 0 ? 128 : 32 * word + Math.clz32(a.words[word] ^ b.words[word]);
  const length = Math.min(same, a.length, b.length);
  return { words: maskWords(a.words, length), length };
}

function compareWords(a: Words, b: Words): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];
}
