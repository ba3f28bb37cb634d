// Completions for fish(1).

import { type Command, type Flag, FLAGS } from "../flags.ts";
import { MANUALS } from "../help.ts";
import { COMMAND_NAMES, identifier, type Offer, offeredNames, offerFor, operandsOf, type Source } from "./offers.ts";

/** Commands that print what a source lists, a line each. */
const SOURCES: Record<Source, string> = {
  command: "__fish_complete_command",
  file: "__fish_complete_path (commandline -ct | string replace -r '^--[^=]*=' '')",
  host: "__fish_print_hostnames",
  interface: "__fish_print_interfaces",
  netns: "path basename /run/netns/*",
  pid: "__fish_complete_pids",
  process: "cat /proc/*/comm 2>/dev/null | sort -u",
  service: "string match -rg '^([a-z0-9-]+)\\s' </etc/services",
  user: "__fish_complete_users",
};

/** The completions for fish, as a file in a directory of $fish_complete_path. */
export function fishCompletions(): string {
  return `# fish completions for tcphup, made by "tcphup completions fish"

${offeredNames().map((name) => offerFunction(name, offerFor(name)!)).join("\n\n")}

# Prints where the cursor is: the command, if one was named, and how many words have followed that are not flags.
function __tcphup_place
    set -l command ''
    set -l operands 0
    set -l flag ''
    set -l dashes ''
    for word in (commandline -opc)[2..]
        if test -n "$flag"
            set flag ''
            continue
        end
        switch "$dashes$word"
            case --
                set dashes --
            case ${valuedFlags().join(" ")}
                set flag $word
            case '--?*' '-?*'
                test -n "$dashes"; and set operands (math $operands + 1)
            case ${COMMAND_NAMES.join(" ")}
                if test -z "$command" -a $operands = 0
                    set command $word
                else
                    set operands (math $operands + 1)
                end
            case '*'
                set operands (math $operands + 1)
        end
    end
    printf '%s\\n' "$command" $operands
end

# Whether one of these commands is meant.
function __tcphup_in
    set -l place (__tcphup_place)
    test -n "$place[1]"; or set place[1] hup
    contains -- $place[1] $argv
end

# Whether the word to come is the one with this number, from 0, behind this command.
function __tcphup_at -a command operand
    set -l place (__tcphup_place)
    __tcphup_in $command; and test $place[2] = $operand
end

complete -c tcphup -f
${COMMAND_NAMES.map(commandLine).join("\n")}
${COMMAND_NAMES.flatMap(operandLines).join("\n")}
${FLAGS.map(flagLine).join("\n")}
`;
}

/** Text as one word of fish. */
function quote(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}

function offerFunction(name: string, { words, sources, list }: Offer): string {
  const print = words.length > 0 ? [`printf '%s\\n' ${words.join(" ")}`] : [];
  const lines = [...print, ...sources.map((source) => SOURCES[source])];
  const body = list ? [`__fish_complete_list , '${lines.join("; ")}'`] : lines;
  return [`function __tcphup_${identifier(name)}`, ...body.map((line) => `    ${line}`), "end"].join("\n");
}

function valuedFlags(): string[] {
  const valued = FLAGS.filter(({ value, alone }) => value !== undefined && alone === undefined);
  return valued.flatMap(({ name, short }) => short ? [`-${short}`, `--${name}`] : [`--${name}`]);
}

function commandLine(command: Command): string {
  const condition = `-n 'test "$(__tcphup_place)" = \\n0'`;
  return `complete -c tcphup ${condition} -a ${command} -d ${quote(MANUALS[command].summary)}`;
}

function operandLines(command: Command): string[] {
  const { names, program } = operandsOf(command);
  const operands = names.flatMap((name, i) =>
    offerFor(name) === null
      ? []
      : [`complete -c tcphup -n '__tcphup_at ${command} ${i}' -a '(__tcphup_${identifier(name)})'`]
  );
  return program ? [...operands, `complete -c tcphup -n '__tcphup_in ${command}' -a '(__tcphup_program)'`] : operands;
}

function flagLine({ name, short, value, alone, help, commands }: Flag): string {
  const spellings = (short ? `-s ${short} ` : "") + `-l ${name}`;
  // -x: the value is a word of its own, and no file.
  const operand = value === undefined || alone !== undefined ? "" : " -x";
  const offered = value !== undefined && offerFor(value) ? ` -a '(__tcphup_${identifier(value)})'` : "";
  return `complete -c tcphup -n '__tcphup_in ${commands.join(" ")}' ${spellings}${operand}${offered} -d ${quote(help)}`;
}
