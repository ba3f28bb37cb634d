// The help, made from the table of flags and the manual of each command.

import { host } from "../../../ffi/deno.ts";
import { terminalSize } from "../output/screen.ts";
import { reflow, wrap, wrapItem } from "../output/wrap.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import type { Command, Flag } from "./flag.ts";
import { type Manual, MANUALS } from "./manuals.ts";
import { FLAGS } from "./table.ts";

/** Lists the exit codes of a command in two columns, or in one where two are too wide. */
function exitCodesHelp(command: Command, width: number): string {
  const codes = EXIT_CODES[command];
  const half = Math.ceil(codes.length / 2);
  const [left, right] = [codes.slice(0, half), codes.slice(half)];
  const longest = Math.max(...left.map(([, meaning]) => meaning.length));
  const lines = left.map(([code, meaning], i) => {
    const [other = "", what = ""] = right[i] ?? [];
    return `  ${code}  ${meaning.padEnd(longest)}  ${String(other).padStart(3)}  ${what}`.trimEnd();
  });
  const fit = lines.every(({ length }) => length <= width);
  const single = codes.flatMap(([code, meaning]) => wrapItem(`  ${String(code).padStart(3)}  `, meaning, width));
  return ["Exit codes:", ...fit ? lines : single].join("\n");
}

/** The flags of the general help. The others are in the help of their commands. */
const COMMON = [
  "filter",
  "pid",
  "user",
  "netns",
  "idle-for",
  "include-session",
  "dry-run",
  "max",
  "linger",
  "wait",
  "destroy-after",
  "destroy",
  "rate",
  "when-idle",
  "json",
  "quiet",
  "verbose",
  "help",
  "version",
];

/** The width of lines: `usual` where standard output is no terminal, at most `greatest` where it is one. */
const WIDTH = { usual: 80, greatest: 100 };

/** Returns the width of the help on this standard output. */
export function helpWidth(): number {
  return host.isTerminal(1) ? Math.min(terminalSize().columns, WIDTH.greatest) : WIDTH.usual;
}

/** Writes the help of tcphup as a whole. It fits a screen. */
export function generalHelp(width: number = WIDTH.usual): string {
  const commands = Object.entries(MANUALS).flatMap(([name, { summary }]) =>
    wrapItem(`  ${name.padEnd(13)}`, summary, width)
  );
  return `${wrap("tcphup hangs up on TCP connections from outside the programs that hold them", width).join("\n")}

${examplesHelp(MANUALS.hup, width)}

Usage: ${MANUALS.hup.usage}
${wrapItem("       tcphup COMMAND ...   ", '("tcphup help COMMAND" explains it)', width).join("\n")}

Commands:
${commands.join("\n")}

${wrap('Common options ("tcphup hup --help" shows all):', width).join("\n")}
${FLAGS.filter(({ name }) => COMMON.includes(name)).flatMap((flag) => flagHelp(flag, false, width)).join("\n")}

${exitCodesHelp("hup", width)}
`;
}

/** Writes the help of one command. */
export function commandHelp(command: Command, width: number = WIDTH.usual): string {
  const manual = MANUALS[command];
  return `${wrap(`Usage: ${manual.usage}`, width).join("\n       ")}

${wrap(`${capitalize(manual.summary)}.`, width).join("\n")}

${reflow(manual.text, width).join("\n")}

${flagsHelp(command, width)}
${timesHelp(command, width)}
${examplesHelp(manual, width)}

${exitCodesHelp(command, width)}
`;
}

/** Writes the first letter of a text as a capital. */
export function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Lists examples with their comment on the same line, or above where that is too wide. */
function examplesHelp({ examples }: Manual, width: number): string {
  const longest = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => `  ${line.padEnd(longest)}  # ${what}`);
  const fit = lines.every(({ length }) => length <= width);
  const above = examples.flatMap(([line, what]) => [...wrapItem("  # ", what, width), `  ${line}`]);
  return ["Examples:", ...fit ? lines : above].join("\n");
}

const HELP_COLUMN = 26;

function flagsHelp(command: Command, width: number): string {
  const flags = FLAGS.filter(({ commands }) => commands.includes(command));
  const sections = [...Map.groupBy(flags, ({ group }) => group)].map(([group, members]) =>
    [`${group}:`, ...members.flatMap((flag) => flagHelp(flag, true, width))].join("\n")
  );
  return sections.join("\n\n");
}

/** Explains how a time is written, in a paragraph; empty for a command that takes no times. */
export function timesHelp(command?: Command, width: number = WIDTH.usual): string {
  const flags = FLAGS.filter(({ bare, commands }) => bare && (command === undefined || commands.includes(command)));
  if (flags.length === 0) return "";
  const refusing = flags.filter(({ bare }) => bare!.length > 1).map(({ name }) => `--${name}`).join(", ");
  const text =
    `TIME is a number with its unit: 500ms, 30s, 5m, 2h, 1d. Without a unit it is in seconds, but not with ` +
    `${refusing}: there the unit is required.`;
  return `\n${wrap(text, width).join("\n")}\n`;
}

/** Writes the value of a flag behind its name, as in ` TIME` or `[=TIME]`. */
export function operandOf({ value, optionalValue, thenTime }: Flag): string {
  if (value === undefined) return "";
  return optionalValue === undefined ? ` ${value}${thenTime ? " [TIME]" : ""}` : `[=${value}]`;
}

function flagHelp(flag: Flag, long: boolean, width: number): string[] {
  const { short, name, help, more } = flag;
  const spelling = `  ${short ? `-${short}, ` : "    "}--${name}${operandOf(flag)}`.padEnd(HELP_COLUMN) + "  ";
  const below = " ".repeat(spelling.length);
  const [first, ...others] = long && more ? [help, more] : [help];
  return [...wrapItem(spelling, first, width), ...others.flatMap((text) => wrapItem(below, text, width))];
}
