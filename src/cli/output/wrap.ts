// Prose and lists in lines of a width.

/** The least that is left for the text of an item beside its name, before it gets a line of its own. */
const LEAST = 24;
/** How far an item's text is to the right then. */
const INDENT = 10;

/** Text in lines of at most so many characters, where no word is longer. */
export function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1];
    if (line !== "" && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

/** An item of a list: what stands first, its blanks included, and a text beside it, or below where that is too narrow. */
export function item(first: string, text: string, width: number): string[] {
  const isNarrow = width - first.length < LEAST;
  const indent = isNarrow ? INDENT : first.length;
  const lines = wrap(text, width - indent).map((line) => " ".repeat(indent) + line);
  return isNarrow ? [first.trimEnd(), ...lines] : [first + lines[0].slice(indent), ...lines.slice(1)];
}

/**
 * Paragraphs and lists, however their lines are broken, in lines of a width. An item has several blanks behind its name; a
 * line goes on with an item when it begins where the item's text does.
 */
export function reflow(text: string, width: number): string[] {
  const blocks: { first: string; text: string }[] = [];
  for (const line of text.split("\n")) {
    const last = blocks.at(-1);
    const [, first, rest] = /^( *\S+(?: \S+)* {2,})(\S.*)$/.exec(line) ?? [];
    const indent = line.length - line.trimStart().length;
    if (first !== undefined) blocks.push({ first, text: rest });
    else if (last && line !== "" && last.text !== "" && indent === last.first.length) last.text += ` ${line.trim()}`;
    else blocks.push({ first: " ".repeat(indent), text: line.trim() });
  }
  return blocks.flatMap(({ first, text }) => first.trim() === "" && text === "" ? [""] : item(first, text, width));
}
