// Patterns as a shell has them: glob(7).

import { UsageError } from "./errors.ts";

const SPECIAL = /[*?[]/;

/** Whether a text is a pattern, and not a plain name. */
export function isGlob(text: string): boolean {
  return SPECIAL.test(text);
}

/** One character of a text, or with `repeats` any number of them. */
interface Part {
  readonly fits: (character: string) => boolean;
  readonly repeats: boolean;
}

/**
 * Whether a whole text is as the pattern says: `*` and `?` stand for anything but a slash, `**` for anything at all,
 * `[a-z]` and `[!a-z]` for one character. A backslash is an ordinary character, since systemd's names are full of them;
 * what is special is made plain by brackets, as in `[*]`.
 *
 * All ways to fit are followed at once, so that it takes time in proportion to the text, however many stars there are. A
 * regular expression tries one way after the other.
 *
 * @throws {UsageError}
 */
export function glob(pattern: string): (text: string) => boolean {
  const parts = [...partsOf(pattern)];
  return (text) => {
    let places = reach(parts, 0, new Set());
    for (const character of text) {
      const next = new Set<number>();
      for (const place of places) {
        const part = parts[place];
        if (part?.fits(character)) reach(parts, part.repeats ? place : place + 1, next);
      }
      if (next.size === 0) return false;
      places = next;
    }
    return places.has(parts.length);
  };
}

/** Adds a place in the pattern to those that the text so far has reached. What repeats may also stand for nothing. */
function reach(parts: readonly Part[], place: number, places: Set<number>): Set<number> {
  for (; !places.has(place); place++) {
    places.add(place);
    if (!parts[place]?.repeats) break;
  }
  return places;
}

const isNoSlash = (character: string) => character !== "/";

function* partsOf(pattern: string): Generator<Part> {
  for (let rest = pattern; rest !== "";) {
    const part = /^(?:\*\*|\*|\?)/.exec(rest)?.[0] ?? classIn(rest) ?? String.fromCodePoint(rest.codePointAt(0)!);
    rest = rest.slice(part.length);
    if (part === "**") yield { fits: () => true, repeats: true };
    else if (part === "*") yield { fits: isNoSlash, repeats: true };
    else if (part === "?") yield { fits: isNoSlash, repeats: false };
    else if (part.startsWith("[") && part.length > 1) yield { fits: classFits(part, pattern), repeats: false };
    else yield { fits: (character) => character === part, repeats: false };
  }
}

/** The brackets that a text begins with; a bracket that is never closed is an ordinary character. */
function classIn(text: string): string | null {
  if (!text.startsWith("[")) return null;
  const members = text[1] === "!" ? 2 : 1;
  const end = text.indexOf("]", members + (text[members] === "]" ? 1 : 0));
  return end < 0 ? null : text.slice(0, end + 1);
}

function classFits(brackets: string, pattern: string): (character: string) => boolean {
  const negated = brackets[1] === "!";
  const members = brackets.slice(negated ? 2 : 1, -1).replace(/[\\\]^[]/g, "\\$&");
  try {
    const expression = new RegExp(`^[${negated ? "^/" : ""}${members}]$`, "u");
    return (character) => expression.test(character);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageError(`Not a pattern: "${pattern}": expected a range such as [a-z], the lesser character first`, {
      cause: error,
    });
  }
}
