// The help: whole, no wider than it says, and true.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseArguments } from "../../../src/cli/flags/arguments.ts";
import * as exitCodes from "../../../src/cli/flags/exit_codes.ts";
import { FLAGS } from "../../../src/cli/flags/table.ts";
import type { Command } from "../../../src/cli/flags/flag.ts";
import { commandHelp, generalHelp } from "../../../src/cli/flags/help_text.ts";
import { MANUALS } from "../../../src/cli/flags/manuals.ts";

const COMMANDS = Object.keys(MANUALS) as Command[];
const { EXIT_CODES } = exitCodes;

/** The lines of a screen without the prompt. */
const SCREEN = { lines: 48, columns: 100 };

/** The long names of the flags that a help explains. */
function flagsIn(help: string): string[] {
  return [...help.matchAll(/^ {2}(?:-\S, | {4})--([a-z0-9-]+)/gm)].map(([, name = ""]) => name);
}

Deno.test("the general help fits a screen", () => {
  const lines = generalHelp(SCREEN.columns).trimEnd().split("\n");
  assert(lines.length <= SCREEN.lines, `${lines.length} lines`);
});

for (const width of [40, 60, 80, 100]) {
  Deno.test(`at ${width} columns no line of any help is wider, or ends in a blank`, () => {
    for (const help of [generalHelp(width), ...COMMANDS.map((command) => commandHelp(command, width))]) {
      const lines = help.split("\n");
      // What is to be typed is not broken.
      const tooWide = lines.filter((line) => line.length > width && !(width < 80 && /\btcphup | {2}--/.test(line)));
      assertEquals(tooWide, []);
      assertEquals(lines.filter((line) => line !== line.trimEnd()), []);
      assert(help.endsWith("\n") && !help.endsWith("\n\n"));
    }
  });
}

Deno.test("without a width, the help is 80 columns wide", () => {
  assertEquals(generalHelp(), generalHelp(80));
  assertEquals(commandHelp("hup"), commandHelp("hup", 80));
});

Deno.test("every word of the help is there at every width, in the same order", () => {
  const words = (help: string) => help.replace(/\nExamples:[^]*/, "").split(/\s+/);
  for (const command of COMMANDS) assertEquals(words(commandHelp(command, 40)), words(commandHelp(command, 100)));
});

Deno.test("the general help leads with three examples, and names every command", () => {
  const help = generalHelp(SCREEN.columns);
  assertMatch(help, /^tcphup [^\n]*\n\nExamples:\n( {2}tcphup [^\n]* # [^\n]*\n){3}\n/);
  for (const command of COMMANDS) assertMatch(help, new RegExp(`^ {2}${command} +${MANUALS[command].summary}$`, "m"));
});

Deno.test("the general help explains flags of hup, each in one line", () => {
  const help = generalHelp(SCREEN.columns);
  const names = flagsIn(help);
  assert(names.length > 10);
  assertEquals(names, FLAGS.map(({ name }) => name).filter((name) => names.includes(name)));
  for (const flag of FLAGS.filter(({ name }) => names.includes(name))) {
    assert(flag.commands.includes("hup"), flag.name);
    assert(help.includes(`  ${flag.help}\n`), flag.name);
  }
});

Deno.test("a command's help explains each of its flags, and no other's", () => {
  for (const command of COMMANDS) {
    const own = FLAGS.filter(({ commands }) => commands.includes(command)).map(({ name }) => name);
    assertEquals(flagsIn(commandHelp(command)).sort(), own.sort(), command);
  }
});

Deno.test("a flag that needs a value is shown with one", () => {
  for (const { name, value, optionalValue, thenTime, commands } of FLAGS) {
    const needed = `${value}${thenTime ? " [TIME]" : ""}`;
    const operand = value === undefined ? "" : optionalValue === undefined ? ` ${needed}` : `[=${value}]`;
    const help = commandHelp(commands[0]!);
    assert(help.split("\n").some((line) => `${line} `.includes(`--${name}${operand} `)), `--${name}${operand}`);
  }
});

Deno.test("every example can be typed", () => {
  for (const command of COMMANDS) {
    for (const [line] of MANUALS[command].examples) {
      const [program, ...words] = line.replace(/^source <\((.*)\)$/, "$1").replace(/ >.*/, "").split(" ");
      assertEquals(program, "tcphup");
      assertEquals(parseArguments(words).command, command, line);
    }
  }
});

/** The exit codes that a help explains, each with its meaning. */
function codesIn(help: string): Record<string, string> {
  const [, explained = ""] = /^Exit codes:\n([^]*)$/m.exec(help)!;
  const meanings = [...explained.matchAll(/(?:^| ) {1,3}(\d+) {2}(\S+(?: \S+)*)/gm)];
  return Object.fromEntries(meanings.map(([, code, meaning]) => [code, meaning]));
}

Deno.test("each help explains the exit codes of its command", () => {
  for (const command of COMMANDS) {
    assertEquals(codesIn(commandHelp(command, 100)), Object.fromEntries(EXIT_CODES[command]), command);
    assertEquals(Object.keys(codesIn(commandHelp(command, 40))), EXIT_CODES[command].map(([code]) => `${code}`));
  }
  assertEquals(codesIn(generalHelp(100)), Object.fromEntries(EXIT_CODES.hup));
});

Deno.test("every exit code has a meaning", () => {
  const codes = Object.values(exitCodes).filter((value) => typeof value === "number");
  assert(codes.length > 5);
  const explained = new Set(EXIT_CODES.hup.map(([code]) => code));
  assertEquals(codes.filter((code) => !explained.has(code)), []);
});

Deno.test("a flag's line says what it does in one line, without a period at its end", () => {
  for (const { name, help, more } of FLAGS) {
    assert(!help.includes("\n") && !help.endsWith("."), name);
    assert(more === undefined || more.endsWith("."), name);
  }
});
