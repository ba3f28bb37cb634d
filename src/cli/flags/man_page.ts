// The man page in the macros of man(7), made from the table of flags and the manuals like the help.

import { FLAGS } from "./table.ts";
import type { Flag } from "./flag.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { capitalize, MANUALS, operandOf, timesHelp } from "./help.ts";
import { VERSION } from "./version.ts";

const SEE_ALSO = [
  "shutdown(2)",
  "pidfd_getfd(2)",
  "sock_diag(7)",
  "tcp(7)",
  "capabilities(7)",
  "ss(8)",
];

/** Writes tcphup.1. */
export function manPage(): string {
  const manuals = Object.entries(MANUALS);
  return [
    `.TH TCPHUP 1 "" "tcphup ${VERSION}" "User Commands"`,
    ".SH NAME",
    "tcphup \\- hang up on TCP connections from outside the programs that hold them",
    ".SH SYNOPSIS",
    ...manuals.flatMap(([, { usage }], i) => [...i > 0 ? [".br"] : [], usage.replace(/^tcphup/, bold("tcphup"))]),
    ".SH COMMANDS",
    ...manuals.flatMap(([name, { summary, text }]) => [
      `.SS ${name}`,
      roff(`${capitalize(summary)}.`),
      ".PP",
      ...text.split("\n").flatMap(textLine),
    ]),
    ".SH OPTIONS",
    roff(timesHelp().trim().replaceAll("\n", " ")),
    ...[...new Set(FLAGS.map(({ group }) => group))].flatMap((group) => [
      `.SS ${group}`,
      ...FLAGS.filter((flag) => flag.group === group).flatMap(option),
    ]),
    ".SH EXIT STATUS",
    ...exitStatus(),
    ".SH ENVIRONMENT",
    ...tagged(bold("NO_COLOR"), "When it is set, nothing is printed in color, unless --color is always."),
    ".SH EXAMPLES",
    ...manuals.flatMap(([, { examples }]) =>
      examples.flatMap(([line, what]) => tagged(bold(literal(line)), roff(what)))
    ),
    ".SH SEE ALSO",
    SEE_ALSO.map((page) => page.replace(/^\w+/, (name) => bold(name))).join(",\n"),
    "",
  ].join("\n");
}

/** Lists the exit codes. Commands with the same codes share a section. */
function exitStatus(): string[] {
  const commands = Map.groupBy(Object.entries(EXIT_CODES), ([, codes]) => codes);
  return [...commands].flatMap(([codes, entries]) => [
    `.SS ${entries.map(([command]) => command).join(", ")}`,
    ...codes.flatMap(([code, meaning]) => tagged(bold(`${code}`), roff(meaning))),
  ]);
}

/** Escapes a text for roff: the escape character, and the characters that roff replaces by typographic ones. */
function escape(text: string): string {
  const names: Record<string, string> = { "\\": "\\e", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti" };
  return text.replace(/[\\'`^~]/g, (character) => names[character] ?? character).replace(/^\./, "\\&.");
}

/** Escapes a text that is typed as it stands: every dash is a minus and no hyphen. */
function literal(text: string): string {
  return escape(text).replaceAll("-", "\\-");
}

/** Escapes prose: only the dashes of flags are minuses. */
function roff(text: string): string {
  return escape(text).replace(/(?<![\w-])--?\w[\w-]*/g, (flag) => flag.replaceAll("-", "\\-"));
}

function bold(text: string): string {
  return `\\fB${text}\\fP`;
}

function tagged(tag: string, text: string): string[] {
  return [".TP", tag, text];
}

/**
 * Formats a line of a manual's text. A line with several blanks after its first word is an item of a list. Its
 * continuation lines are indented further.
 */
function textLine(line: string): string[] {
  if (line === "") return [".PP"];
  const [, tag, first = ""] = /^ {0,2}(\S+) {2,}(\S.*)$/.exec(line) ?? [];
  return tag === undefined ? [roff(line.trim())] : [".PD 0", ".TP 16", bold(literal(tag)), roff(first), ".PD"];
}

function option(flag: Flag): string[] {
  const { name, short, help, more, commands } = flag;
  const spelled = [...short ? [`-${short}`] : [], `--${name}`].map((spelling) => bold(literal(spelling))).join(", ");
  const text = [roff(`${capitalize(help)}.`), ...more ? [roff(more)] : []];
  const where = Object.keys(MANUALS).length === commands.length ? [] : [`(${commands.join(", ")})`];
  return [...tagged(spelled + literal(operandOf(flag)), text.join("\n")), ...where];
}
