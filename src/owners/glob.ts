// Patterns as a shell has them: glob(7).

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

/** Whether a whole text is as the pattern says. */
export function glob(pattern: string): (text: string) => boolean {
  const expression = new RegExp(`^(?:${globSource(pattern)})$`, "u");
  return (text) => expression.test(text);
}

function classSource(members: string): string {
  const negated = members.startsWith("!");
  const escaped = (negated ? members.slice(1) : members).replace(/[\\\]^[]/g, "\\$&");
  return `[${negated ? "^/" : ""}${escaped}]`;
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
