// The reference of the JSON documents in .github/JSON.md, from the types of what is printed.

import { keyOf } from "../../src/cli/output/json.ts";
import { type Declaration, type Property, readInterfaces, readReasons, readUnion } from "./declarations.ts";

const FILES = [
  "src/attach/diversion.ts",
  "src/attach/keepalive_attachment.ts",
  "src/model/destination_count.ts",
  "src/cli/output/documents.ts",
  "src/doctor/check_host.ts",
  "src/doctor/verdict.ts",
  "src/keepalive/detection.ts",
  "src/keepalive/values.ts",
  "src/list.ts",
  "src/model/connection.ts",
  "src/model/diversion.ts",
  "src/model/result.ts",
  "src/pinned.ts",
  "src/keepalive/plan.ts",
  "src/report/report.ts",
  "src/report/summary.ts",
];

/** A document. */
interface Document {
  readonly title: string;
  /** Its interface. */
  readonly type: string;
  /** Keys that the interface has not. */
  readonly more?: readonly Property[];
}

const property = (name: string, type: string, doc: string, optional = false): Property => ({
  name,
  type,
  doc,
  optional,
});

const CONNECTIONS = property("connections", "Row[]", "The connections.");

const DOCUMENTS: readonly Document[] = [
  { title: "hup --json", type: "HangUpReport" },
  {
    title: "keepalive --json",
    type: "KeepaliveReport",
    more: [property("attached", "AttachedDocument", "With `--attach` or `--pin`: what was attached.", true)],
  },
  { title: "ls --json", type: "ListDocument", more: [CONNECTIONS] },
  {
    title: "ls --summary --json",
    type: "SummaryDocument",
    more: [property("groups", "Group[]", "The groups, the largest first.")],
  },
  { title: "ls --pinned --json", type: "PinnedDocument" },
  { title: "plan --json", type: "Plan" },
  { title: "doctor --json", type: "DoctorDocument" },
];

/** What becomes a row of a document, on one level. */
const ROW: readonly Property[] = [
  property("outcome", "string | null", "What became of it: see [outcomes](#outcomes). null in a list."),
  property("reason", "string | null", "The code of the reason; null where all was done as asked for.", true),
  property("error", "string | null", "The reason in one line for people; null without a reason."),
];

/** The types that are written as something else. */
const TYPES: Readonly<Record<string, string>> = {
  Cookie: "string",
  ForeignFd: "number",
  NetnsInode: "number",
  Outcome: "string",
  Selection: "object",
  SocketInode: "number",
  State: "string",
  "Partial<Record<State, number>>": "object of numbers",
  "{ address: string; port: number }": "Endpoint",
  HangUpResult: "Row",
  KeepaliveResult: "Row",
  Info: "TcpInfo",
};

/** What comments call by the library's names, in the words of the command line. */
const WORDS: Readonly<Record<string, string>> = {
  dryRun: "--dry-run",
  hangUp: "hup",
  setKeepalive: "keepalive",
  max: "--max",
  ready: "--ready",
  confirm: "--interactive",
  whenIdle: "--when-idle",
  IDLE_AFTER_MS: "idle_after_ms",
};

const declarations = readInterfaces(FILES);

/** The part of the page that is made. */
export function jsonReference(): string {
  const documents = DOCUMENTS.map(({ title, type, more = [] }) => {
    const properties = [...propertiesOf(type), ...more];
    const isFirst = ({ name }: Property) => ["schema", "command"].includes(name);
    return { title, properties: [...properties.filter(isFirst), ...properties.filter((one) => !isFirst(one))] };
  });
  const sections = documents.map(({ title, properties }) => `### tcphup ${title}\n\n${table(properties)}`);
  const properties = documents.flatMap(({ properties }) => properties);
  return [
    "",
    "## Documents",
    "",
    sections.join("\n\n"),
    "",
    ...events(),
    "",
    "## Objects",
    "",
    objects(properties),
    "",
    ...outcomes(),
    "",
  ]
    .join("\n");
}

/** The properties of an interface, those of what it extends first. */
function propertiesOf(name: string): Property[] {
  if (name === "Row") return rowProperties();
  const { extends: bases, properties } = declarationOf(name);
  const inherited = bases.flatMap((base) => {
    const [, command] = /^Document<("\w+")>$/.exec(base) ?? [];
    const [, from = base, omitted] = /^Omit<(\w+), "(\w+)">$/.exec(base) ?? [];
    const found = propertiesOf(command === undefined ? from : "Document").filter(({ name }) => name !== omitted);
    return found.map((one) => one.type === "Command" ? { ...one, type: command! } : one);
  });
  const own = new Set(properties.map(({ name }) => name));
  return [...inherited.filter(({ name }) => !own.has(name)), ...properties];
}

function declarationOf(name: string): Declaration {
  const found = declarations.get(name);
  if (found === undefined) throw new Error(`No file of scripts/docs/json.ts declares the interface ${name}`);
  return found;
}

function rowProperties(): Property[] {
  const listed = propertiesOf("ListedConnection").filter(({ name }) => name !== "connection");
  const change = propertiesOf("KeepaliveChange").map((one) => ({
    ...one,
    optional: true,
    doc: `Of keepalive: ${lowered(one.doc)}`,
  }));
  return [...propertiesOf("Connection"), ...listed, ...change, ...ROW];
}

/** Every object that properties lead to, each with a section, in the order in which they are first named. */
function objects(properties: readonly Property[]): string {
  const seen = new Set<string>();
  const sections: string[] = [];
  const queue = [...properties];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const name of namesIn(next.type)) {
      if (seen.has(name)) continue;
      seen.add(name);
      const inside = propertiesOf(name);
      sections.push(`### ${titleOf(name)}\n\n${table(name === "TcpInfo" ? inside.map(ofTcpInfo) : inside)}`);
      queue.push(...inside);
    }
  }
  return sections.join("\n\n");
}

/** For MPTCP the kernel tells only the times of the last data. */
function ofTcpInfo(property: Property): Property {
  return { ...property, optional: !/^last.*Ms$/.test(property.name) };
}

function events(): string[] {
  const members = readUnion("src/follow/events.ts", "FollowEvent");
  const rows = members.map(({ doc, properties }) => {
    const [event, ...rest] = properties;
    if (doc === "") throw new Error(`Nothing is said of the event ${event!.type}`);
    const keys = rest.map(({ name, type }) => `${code(keyOf(name))}: ${typeText(type)}`).join("; ");
    return [`\`${event!.type}\``, keys === "" ? "" : keys, words(doc)];
  });
  return [
    "### tcphup follow --json-lines",
    "",
    "An object a line. Each has `time`, as ISO 8601 has it, and `event`:",
    "",
    layOut(["event", "keys", "meaning"], rows),
  ];
}

function outcomes(): string[] {
  const rows = readReasons("src/model/result.ts").flatMap(({ outcome, doc, reasons }) => [
    [`\`${outcome}\``, "", words(doc)],
    ...reasons.filter(({ code }) => code !== "null").map(({ code, doc }) => ["", `\`${code}\``, words(doc)]),
  ]);
  return [
    "## Outcomes",
    "",
    "Each connection of `hup` and `keepalive` has one. The codes of `reason` follow below it; null is possible where nothing",
    "went another way.",
    "",
    layOut(["outcome", "reason", "meaning"], rows),
  ];
}

function table(properties: readonly Property[]): string {
  const rows = properties.map(({ name, optional, type, doc }) => {
    if (doc === "") throw new Error(`Nothing is said of the property ${name} that a JSON document has`);
    return [code(keyOf(name)), typeText(type) + (optional ? ", or absent" : ""), words(doc)];
  });
  return layOut(["key", "type", "meaning"], rows);
}

/** The names of the objects in a type. */
function namesIn(type: string): string[] {
  return alternatives(type).flatMap((one) => {
    const name = one.replace(/\[\]$/, "");
    const target = TYPES[name] ?? name;
    return /^[A-Z]\w*$/.test(target) ? [target] : [];
  });
}

function alternatives(type: string): string[] {
  return type.replace(/^\| /, "").split(" | ");
}

function typeText(type: string): string {
  return alternatives(type).map((one) => {
    if (one.endsWith("[]")) return `array of ${oneText(one.slice(0, -2), true)}`;
    return oneText(one, false);
  }).join(" or ");
}

function oneText(one: string, several: boolean): string {
  const type = TYPES[one] ?? one;
  if (type === "HangUpReport") return "[report](#tcphup-hup---json)";
  if (/^[A-Z]\w*$/.test(type)) return `[${titleOf(type)}](#${titleOf(type).replaceAll(" ", "-")})`;
  if (type.startsWith('"') || /^\d+$/.test(type)) return code(type);
  if (!["string", "number", "boolean", "null", "object", "object of numbers"].includes(type)) {
    throw new Error(`scripts/docs/json.ts does not know the type ${type}`);
  }
  return several ? `${type}s` : type;
}

/** The name of an object: that of its interface in words. */
function titleOf(name: string): string {
  if (name === "Row") return "connection";
  return name.replace(/Document$/, "").replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter}`).toLowerCase();
}

function code(text: string): string {
  return `\`${text}\``;
}

/** A comment in the words of the documents. */
function words(doc: string): string {
  return doc.replaceAll(/the option `(\w+)`/g, "`--$1`").replaceAll(
    /`([A-Za-z_]\w*)`/g,
    (_, name) => code(WORDS[name] ?? keyOf(name)),
  );
}

function lowered(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** A table as `deno fmt` lays it out. */
function layOut(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
