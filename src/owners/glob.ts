// Patterns as a shell has them: glob(7).

import { UsageError } from "../usage_error.ts";

const SPECIAL = /[*?[]/;

/** Whether a text is a pattern, and not a plain name. */
export function isGlob(text: string): boolean {
  return SPECIAL.test(text);
}

/**
 * The source of a regular expression for a pattern: `*` and `?` stand for anything but a slash, `**` for anything at all,
 * `[a-z]` and `[!a-z]` for one character. A backslash is an ordinary character, since systemd's names are full of them;
 * what is special is made plain by brackets, as in `[*]`.
 */
export function globSource(pattern: string): string {
  return pattern.replace(/\*\*|\*|\?|\[!?\]?[^\]]*\]|[^]/g, (part) => {
    if (part === "**") return "[^]*";
    if (part === "*") return "[^/]*";
    if (part === "?") return "[^/]";
    if (part.length > 1) return classSource(part.slice(1, -1));
    return literal(part);
  });
}

/** Whether a whole text is as the pattern says. @throws {UsageError} */
export function glob(pattern: string): (text: string) => boolean {
  const expression = globExpression(`^(?:${globSource(pattern)})$`, pattern);
  return (text) => expression.test(text);
}

/** The expression with a source that was made from a pattern. @throws {UsageError} */
export function globExpression(source: string, pattern: string): RegExp {
  try {
    return new RegExp(source, "u");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageError(`Not a pattern: "${pattern}": expected a range such as [a-z], the lesser character first`);
  }
}

function classSource(members: string): string {
  const negated = members.startsWith("!");
  const escaped = (negated ? members.slice(1) : members).replace(/[\\\]^[]/g, "\\$&");
  return `[${negated ? "^/" : ""}${escaped}]`;
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
