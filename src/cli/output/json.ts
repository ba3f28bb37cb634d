// JSON, piece by piece: a list of many connections is never one string.

/** What JSON.stringify leaves as it is and a terminal may act on: see escapeControls of terminal.ts. */
const UNSAFE = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A value as JSON, in which characters that drive a terminal or turn its text around are escapes. */
export function jsonText(value: object): string {
  return JSON.stringify(value).replace(
    UNSAFE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A document that has the keys of `head`, and then `key` with the items. */
export function* jsonDocument(head: object, key: string, items: Iterable<object>): Generator<string> {
  yield `${jsonText(head).slice(0, -1)},${JSON.stringify(key)}:[`;
  let separator = "";
  for (const item of items) {
    yield separator + jsonText(item);
    separator = ",";
  }
  yield "]}\n";
}

/** One object a line; with `common`, each begins with its keys. */
export function* jsonLines(items: Iterable<object>, common: object = {}): Generator<string> {
  for (const item of items) yield jsonText({ ...common, ...item }) + "\n";
}
