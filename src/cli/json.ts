// JSON, piece by piece: a list of many connections is never one string.

/** A document that has the keys of `head`, and then `key` with the items. */
export function* jsonDocument(head: object, key: string, items: Iterable<object>): Generator<string> {
  yield `${JSON.stringify(head).slice(0, -1)},${JSON.stringify(key)}:[`;
  let separator = "";
  for (const item of items) {
    yield separator + JSON.stringify(item);
    separator = ",";
  }
  yield "]}\n";
}

/** One object a line; with `common`, each begins with its keys. */
export function* jsonLines(items: Iterable<object>, common: object = {}): Generator<string> {
  for (const item of items) yield JSON.stringify({ ...common, ...item }) + "\n";
}
