// A part of the torture: cases that have names, each of which can be tried again.

import type { Random } from "../../test/select/random.ts";

/** What came of a case: what is wrong, each in a line; null where what was to happen did not come about. */
export type Verdict = readonly string[] | null;

/** Cases of a kind. */
export interface Part extends AsyncDisposable {
  /** The names of the cases, in the order in which they are tried. Some parts never run out of them. */
  names(random: Random): Iterable<string>;
  try(name: string): Promise<Verdict>;
  /** What else there is to count, by what it is. */
  readonly figures: Record<string, number>;
}

/** What came of the cases of a part. */
export interface Tally {
  tried: number;
  failed: number;
  /** Those that failed, and did not when they were tried again. */
  unstable: number;
  /** Those that did not come about. */
  missed: number;
  figures: Record<string, number>;
}

export function emptyTally(): Tally {
  return { tried: 0, failed: 0, unstable: 0, missed: 0, figures: {} };
}

/** Adds another worker's. */
export function add(tally: Tally, other: Tally): void {
  for (const name of ["tried", "failed", "unstable", "missed"] as const) tally[name] += other[name];
  for (const [name, n] of Object.entries(other.figures)) tally.figures[name] = (tally.figures[name] ?? 0) + n;
}

/** What a worker says: what it is about to try, what failed, or in the end what it has counted. */
export type Said =
  | { kind: "trying"; name: string }
  | { kind: "failed" | "unstable"; name: string; wrong: readonly string[] }
  | { kind: "tally"; tally: Tally };

/**
 * Tries cases until there are none, or time is up. A machine that is crowded makes some fail, so each failure is tried a
 * second time.
 */
export async function tryAll(
  part: Part,
  names: Iterable<string>,
  deadline: number,
  say: (said: Said) => void,
): Promise<void> {
  const tally = emptyTally();
  const tried = async (name: string) => {
    say({ kind: "trying", name });
    return await part.try(name);
  };
  for (const name of names) {
    if (performance.now() >= deadline) break;
    const wrong = await tried(name);
    if (wrong === null) {
      tally.missed++;
      continue;
    }
    tally.tried++;
    if (wrong.length === 0) continue;
    const again = await tried(name);
    const kind = again === null || again.length === 0 ? "unstable" : "failed";
    tally[kind]++;
    say({ kind, name, wrong });
  }
  tally.figures = part.figures;
  say({ kind: "tally", tally });
}
