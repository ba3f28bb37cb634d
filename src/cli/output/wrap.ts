// Prose and lists, wrapped to a width.

/** The narrowest column for the text of an item. With less room, the text begins on the next line. */
const MIN_TEXT_WIDTH = 24;
/** The indentation of such a text. */
const INDENT = 10;

/** Breaks a text into lines of at most `width` characters. A longer word has a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line === "") line = word;
    else if (line.length + 1 + word.length <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

/** Wraps an item of a list: `first`, with the blanks behind it, and the text beside it, or below where that is too narrow. */
export function wrapItem(first: string, text: string, width: number): string[] {
  const isNarrow = width - first.length < MIN_TEXT_WIDTH;
  const indent = isNarrow ? INDENT : first.length;
  const lines = wrap(text, width - indent).map((line) => " ".repeat(indent) + line);
  const [beside = "", ...below] = lines;
  return isNarrow ? [first.trimEnd(), ...lines] : [first + beside.slice(indent), ...below];
}

/**
 * Wraps paragraphs and lists whose lines are already broken. An item has several blanks behind its name. Lines that begin
 * in the column of its text continue it.
 */
export function reflow(text: string, width: number): string[] {
  const blocks: { first: string; text: string }[] = [];
  for (const line of text.split("\n")) {
    const last = blocks.at(-1);
    const [, first, rest = ""] = /^( *\S+(?: \S+)* {2,})(\S.*)$/.exec(line) ?? [];
    const indent = line.length - line.trimStart().length;
    if (first !== undefined) blocks.push({ first, text: rest });
    else if (last && line !== "" && last.text !== "" && indent === last.first.length) last.text += ` ${line.trim()}`;
    else blocks.push({ first: " ".repeat(indent), text: line.trim() });
  }
  return blocks.flatMap(({ first, text }) => first.trim() === "" && text === "" ? [""] : wrapItem(first, text, width));
}
