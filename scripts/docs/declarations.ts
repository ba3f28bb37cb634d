// The interfaces of the sources with what is said of each property. They are read as text, which `deno fmt` has laid out.

import { ROOT } from "../tools.ts";

/** A property of an interface. */
export interface Property {
  readonly name: string;
  readonly optional: boolean;
  /** As TypeScript has it, without `readonly`. */
  readonly type: string;
  readonly doc: string;
}

/** An interface. */
export interface Declaration {
  readonly extends: readonly string[];
  readonly properties: readonly Property[];
}

const COMMENT = String.raw`\/\*\*((?:(?!\*\/)[^])*)\*\/`;
const INTERFACE = /^(?:export )?interface (\w+)(?:<[^{]*?>)?(?: extends ([^{]+?))? \{(?:\n([^]*?)\n)?\}$/gm;
const PROPERTY = new RegExp(`^ {2}(?:${COMMENT}\\n {2})?(?:readonly )?(\\w+)(\\?)?: ((?:[^;{]|\\{[^}]*\\})+);$`, "gm");
const MEMBER = new RegExp(`^ {2}(?:${COMMENT}\\n {2})?\\| \\{([^}]*)\\}`, "gm");
const OUTCOME = new RegExp(`^ {2}${COMMENT}\\n {2}"([\\w-]+)":((?:\\n {4}.*)+| .*);$`, "gm");
const REASON = new RegExp(`(?:${COMMENT}\\s*)?(?:\\| )?("[\\w-]+"|null)`, "g");

/** Reads the interfaces of files, by their names. */
export function readInterfaces(files: readonly string[]): Map<string, Declaration> {
  const found = new Map<string, Declaration>();
  for (const text of files.map(read)) {
    for (const [, name = "", bases = "", body = ""] of text.matchAll(INTERFACE)) {
      found.set(name, { extends: splitOutside(bases), properties: propertiesIn(body) });
    }
  }
  return found;
}

/** Reads the members of a union of object types, with what is said of each. */
export function readUnion(file: string, name: string): { doc: string; properties: readonly Property[] }[] {
  const [, body = ""] = new RegExp(`^export type ${name} =\\n((?: .*\\n)+)`, "m").exec(read(file)) ?? [];
  return [...body.matchAll(MEMBER)].map(([, doc = "", members = ""]) => {
    const lines = members.split(";").map((member) => member.trim()).filter((member) => member !== "");
    return { doc: plain(doc), properties: propertiesIn(lines.map((line) => `  ${line};`).join("\n")) };
  });
}

/** Reads the outcomes, with the codes of their reasons. */
export function readReasons(
  file: string,
): { outcome: string; doc: string; reasons: { code: string; doc: string }[] }[] {
  const [, body = ""] = /^export interface Reasons \{\n([^]*?)^\}$/m.exec(read(file)) ?? [];
  return [...body.matchAll(OUTCOME)].map(([, doc = "", outcome = "", codes = ""]) => ({
    outcome,
    doc: plain(doc),
    reasons: [...codes.matchAll(REASON)].map(([, doc = "", code = ""]) => ({
      code: code.replaceAll('"', ""),
      doc: plain(doc),
    })),
  }));
}

function read(file: string): string {
  return Deno.readTextFileSync(ROOT + file);
}

function propertiesIn(body: string): Property[] {
  return [...body.matchAll(PROPERTY)].map(([, doc = "", name = "", optional, type = ""]) => {
    return {
      name,
      optional: optional !== undefined,
      type: type.replaceAll("readonly ", "").replaceAll(/\s+/g, " "),
      doc: plain(doc),
    };
  });
}

/** The text of a comment on one line. */
function plain(comment: string): string {
  return comment.replaceAll(/^\s*\*/gm, "").replaceAll(/\s+/g, " ").trim();
}

/** Splits a list at its commas, but not within angle brackets. */
function splitOutside(list: string): string[] {
  return list.split(/,\s*(?![^<]*>)/).map((item) => item.trim()).filter((item) => item !== "");
}
