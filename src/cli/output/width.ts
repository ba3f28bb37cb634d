// The width of text on a terminal, in columns as wcwidth(3) counts them.

/** Characters of two columns: those whose East Asian Width (UAX #11) is W or F, and the unassigned ones between them. */
const WIDE = new RegExp(
  String.raw`[\u1100-\u115f\u2329\u232a\u2630-\u2637\u268a-\u268f\u2e80-\u303e\u3040-\u3247\u3250-\ua4cf` +
    String.raw`\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6` +
    String.raw`\u{16fe0}-\u{18fff}\u{1aff0}-\u{1b2ff}\u{1d300}-\u{1d356}\u{1d360}-\u{1d376}\u{1f200}-\u{1f2ff}` +
    // A flag is two letters, each one column wide.
    String.raw`\u{20000}-\u{3ffff}]|(?![\u{1f1e6}-\u{1f1ff}])\p{Emoji_Presentation}`,
  "u",
);
/**
 * Characters of no column: combining marks, format characters, and the color marks of terminal.ts. Medial and final
 * letters of Hangul (U+1160 to U+11FF) join the initial letter's columns.
 */
const ZERO = /(?!\u00ad)[\p{Mn}\p{Me}\p{Cf}\p{Cs}\u1160-\u11ff]/u;

function characterWidth(character: string): number {
  return ZERO.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
}

/** Returns the number of columns that a text takes on a terminal. */
export function displayWidth(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** Shortens a text to `width` columns: its beginning, and "…" where something is left out. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let room = width - 1;
  let kept = "";
  for (const character of text) {
    room -= characterWidth(character);
    if (room < 0) break;
    kept += character;
  }
  return `${kept}…`;
}
