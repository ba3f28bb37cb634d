// Sets of prefixes, and the few prefixes that stand for many.

import { assert, assertEquals } from "@std/assert";
import {
  formatPrefix,
  maskWords,
  parseAddress,
  parsePrefix,
  type Prefix,
  type Words,
} from "../../src/model/address.ts";
import { aggregatePrefixes } from "../../src/select/aggregate.ts";
import { PrefixSet } from "../../src/select/prefix_set.ts";
import { Random } from "./random.ts";

const prefixes = (...texts: string[]) => texts.map((text) => parsePrefix(text)!);
const has = (set: PrefixSet, text: string) => set.has(...parseAddress(text)!.words as [number, number, number, number]);

/** Prefixes of every length, close enough together for some to hold others. */
function manyPrefixes(random: Random, count: number): Prefix[] {
  return Array.from({ length: count }, () => {
    const v4 = random.chance(0.5);
    const low = random.below(2 ** 32) >>> random.below(20);
    const words: Words = v4 ? [0, 0, 0xffff, low] : [0x20010db8, random.below(4), random.below(2 ** 32), low];
    const length = v4 ? 96 + 12 + random.below(21) : 76 + random.below(53);
    return { words: maskWords(words, length), length };
  });
}

function holds(prefix: Prefix, words: Words): boolean {
  return maskWords(words, prefix.length).every((word, i) => word === prefix.words[i]);
}

Deno.test("a set holds what one of its prefixes holds", () => {
  const random = new Random(7);
  const all = manyPrefixes(random, 2000);
  const set = new PrefixSet(all);
  let held = 0;
  for (const { words } of manyPrefixes(random, 2000)) {
    const expected = all.some((prefix) => holds(prefix, words));
    assertEquals(set.has(words[0], words[1], words[2], words[3]), expected);
    if (expected) held++;
  }
  assert(held > 100 && held < 1900, `${held} of 2000 held: the test does not tell much`);
});

Deno.test("a set of ten thousand addresses holds these and no others", () => {
  const set = new PrefixSet(Array.from({ length: 10_000 }, (_, i) => ({ words: [0, 0, 0xffff, 2 * i], length: 128 })));
  for (let i = 0; i < 20_000; i++) assertEquals(set.has(0, 0, 0xffff, i), i % 2 === 0);
});

Deno.test("families do not hold each other", () => {
  const everyIPv6 = new PrefixSet(prefixes("::/0"));
  assert(has(everyIPv6, "2001:db8::1"));
  assert(!has(everyIPv6, "10.0.0.1"));
  assert(!has(everyIPv6, "::ffff:10.0.0.1"));
  const everyIPv4 = new PrefixSet(prefixes("0.0.0.0/0"));
  assert(has(everyIPv4, "10.0.0.1"));
  assert(has(everyIPv4, "::ffff:10.0.0.1"));
  assert(!has(everyIPv4, "::10.0.0.1"));
  assert(!has(everyIPv4, "2001:db8::ffff:10.0.0.1"));
});

Deno.test("the empty set holds nothing", () => {
  assert(!has(new PrefixSet([]), "10.0.0.1"));
});

Deno.test("few prefixes are their own cover", () => {
  const few = prefixes("10.0.0.1", "2001:db8::/32", "::/0");
  assertEquals(aggregatePrefixes(few, 64).map(formatPrefix).sort(), few.map(formatPrefix).sort());
});

Deno.test("a cover cuts at the widest gaps", () => {
  const addresses = prefixes("10.0.0.1", "10.0.0.2", "10.0.0.3", "192.168.7.4", "192.168.7.5", "2001:db8::1");
  assertEquals(aggregatePrefixes(addresses, 2).map(formatPrefix), ["10.0.0.0/30", "192.168.7.4/31", "2001:db8::1"]);
});

Deno.test("a cover that lets most through is one prefix", () => {
  const addresses = prefixes(...Array.from({ length: 256 }, (_, i) => `10.0.0.${i}`));
  assertEquals(aggregatePrefixes(addresses, 64).map(formatPrefix), ["10.0.0.0/24"]);
});

Deno.test("a cover holds all, and stays within its limit", () => {
  const random = new Random(8);
  for (const count of [1, 63, 64, 65, 1000]) {
    const many = manyPrefixes(random, count);
    const covering = aggregatePrefixes(many, 64);
    assert(covering.length <= 128);
    for (const { words, length } of many) {
      assert(
        covering.some((prefix) => prefix.length <= length && holds(prefix, words)),
        formatPrefix({ words, length }),
      );
    }
    const isFour = (prefix: Prefix) => !formatPrefix(prefix).includes(":");
    assertEquals(covering.some(isFour), many.some(isFour));
  }
});
