// The boundary between TypeScript, whose keys are in camelCase, and the JSON documents, whose keys are in snake_case. The
// documents are made in pieces, so that a list of many connections is never one string.

import type { Connection, HeldConnection, ListedConnection } from "../../model/connection.ts";
import type { KeepaliveChange, Outcome, Reason, Result } from "../../model/result.ts";

/** The characters that JSON.stringify leaves unescaped and that a terminal may act on: see escapeControls of terminal.ts. */
const UNSAFE = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A name as the JSON documents have it. */
type Documented<Name extends string> = Name extends "incomplete" ? "unseen"
  : Name extends "results" ? "connections"
  : Name extends Uppercase<Name> ? Name
  : Lowered<Name>;
type Lowered<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${Lowered<Rest>}`
  : Name;

/** What a JSON document of a value holds: the same with other keys, and connections as rows. */
export type JsonDocument<T> = T extends string | number ? T
  : T extends readonly (infer Item)[] ? JsonDocument<Item>[]
  : T extends HeldConnection ? JsonDocument<Row>
  : T extends object ? { [Key in keyof T as Key extends string ? Documented<Key> : Key]: JsonDocument<T[Key]> }
  : T;

/** A row of a document: all that is known of a connection on one level. */
export type Row =
  & Connection
  & Omit<ListedConnection, "connection">
  & Partial<KeepaliveChange>
  & { outcome: Outcome | null; reason?: Reason | null; error: string | null };

/** Returns a connection as a row. */
export function rowOf({ connection, message = null, ...rest }: ListedConnection & Partial<Result>): Row {
  return { ...connection, outcome: null, ...rest, error: message };
}

/** Writes a report, or a list, as a document of rows. */
export function jsonReport(head: object, connections: readonly ListedConnection[]): Generator<string> {
  return jsonDocument(head, "connections", rowsOf(connections));
}

/** Returns connections as rows, one after another. */
export function* rowsOf(connections: readonly ListedConnection[]): Generator<Row> {
  for (const connection of connections) yield rowOf(connection);
}

/** Writes a value as JSON. Characters that drive a terminal or change the direction of text are escaped. */
export function jsonText(value: object): string {
  return JSON.stringify(withDocumentedKeys(value)).replace(
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

/** The documented keys, by the properties' names: those that are not the name in snake_case, and each that has occurred. */
const keys = new Map([["incomplete", "unseen"]]);

/** Returns a copy in which every key is as the JSON documents have it. */
function withDocumentedKeys(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withDocumentedKeys);
  const copy: Record<string, unknown> = {};
  for (const name in value) {
    let key = keys.get(name);
    if (key === undefined) keys.set(name, key = documentedKey(name));
    copy[key] = withDocumentedKeys((value as Record<string, unknown>)[name]);
  }
  return copy;
}

/** Returns the documented key of a property of a report. */
export function keyOf(name: string): string {
  return name === "results" ? "connections" : keys.get(name) ?? documentedKey(name);
}

/** Returns a name in snake_case: `dry_run` for `dryRun`. The names of TCP states, such as `SYN-SENT`, stay as they are. */
function documentedKey(name: string): string {
  return name.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
