// JSON in pieces, so that a list of many connections is never one string.

/** The characters that JSON.stringify leaves unescaped and that a terminal may act on: see escapeControls of terminal.ts. */
const UNSAFE = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Writes a value as JSON. Characters that drive a terminal or change the direction of text are escaped. */
export function jsonText(value: object): string {
  return JSON.stringify(value).replace(
    UNSAFE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Writes a document with the keys of `head`, and then `key` with an array of the items. */
export function* jsonDocument(head: object, key: string, items: Iterable<object>): Generator<string> {
  yield `${jsonText(head).slice(0, -1)},${JSON.stringify(key)}:[`;
  let separator = "";
  for (const item of items) {
    yield separator + jsonText(item);
    separator = ",";
  }
  yield "]}\n";
}

/** Writes each item as an object on a line. The keys of `common` come first in each. */
export function* jsonLines(items: Iterable<object>, common: object = {}): Generator<string> {
  for (const item of items) yield jsonText({ ...common, ...item }) + "\n";
}
