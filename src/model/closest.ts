// Suggests the word that a mistyped one may mean. closestString of @std/text would do, but a program that root runs from
// its sources, in the hour of an outage, is not to ask a registry for code because of a slip of the finger.

import { only } from "./only.ts";

/** Returns the number of letters to insert, delete, replace or swap with their neighbour to make `b` of `a`. */
export function editDistance(a: string, b: string): number {
  const distances = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const distance = (i: number, j: number) => distances[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    const row = distances[i] = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = distance(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? distance(i - 2, j - 2) + 1 : Infinity;
      row.push(Math.min(replaced, swapped, distance(i - 1, j) + 1, distance(i, j - 1) + 1));
    }
  }
  return distance(a.length, b.length);
}

/** From how many letters on a word may have two slips. */
const LONG = 5;

/** The nearest of `words` that a slip of the finger, or another case, makes of `word`; null when none is near. */
export function nearest(word: string, words: readonly string[]): string | null {
  const typed = word.toLowerCase();
  const reach = typed.length < LONG ? 1 : 2;
  const near = words.flatMap((candidate) => {
    // Spares long texts the table of distances.
    if (Math.abs(typed.length - candidate.length) > reach) return [];
    const distance = editDistance(typed, candidate.toLowerCase());
    return distance > reach ? [] : [{ candidate, distance }];
  });
  return near.sort((a, b) => a.distance - b.distance)[0]?.candidate ?? null;
}

/** The one of `words` that was meant: the nearest, or the only one that begins so; null when nobody can tell. */
export function suggestWord(word: string, words: readonly string[]): string | null {
  const begun = words.filter((candidate) => word !== "" && candidate.startsWith(word.toLowerCase()));
  return nearest(word, words) ?? only(begun) ?? null;
}

/** The end of a message about a word that is none of `words`: the one that was meant, or all. */
export function expectedWord(word: string, words: readonly string[]): string {
  const suggestion = suggestWord(word, words);
  return suggestion === null ? `expected ${words.join(", ")}` : `did you mean "${suggestion}"?`;
}
