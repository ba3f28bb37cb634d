// The completions for fish(1).

import { type Command, COMMANDS, type Flag } from "../flag.ts";
import { FLAGS } from "../table.ts";
import { MANUALS } from "../manuals.ts";
import {
  allOffers,
  functionName,
  HOLDERS_COMMAND,
  type Offer,
  offerFor,
  operandsOf,
  type Source,
  valuedFlags,
} from "./offers.ts";

/** The commands that list a source, an item a line. */
const SOURCES: Record<Source, string> = {
  file: "__fish_complete_path (commandline -ct | string replace -r -- '^--[^=]*=' '')",
  holder: HOLDERS_COMMAND,
  host: "__fish_print_hostnames",
  interface: "__fish_print_interfaces",
  netns: "path basename /run/netns/*",
  process: "cat /proc/*/comm 2>/dev/null | sort -u",
  service: "string match -rg -- '^([a-z0-9-]+)\\s' </etc/services",
  user: "__fish_complete_users",
};

/** Writes the completions for fish: the file `tcphup.fish` of a directory in $fish_complete_path, or to be sourced. */
export function fishCompletions(): string {
  return `# fish completions for tcphup, made by "tcphup completions fish"

${allOffers().map(offerFunction).join("\n\n")}

# Prints the place of the cursor, a line each: the command if named, "--" if typed, and the number of operands before the
# cursor.
function _tcphup_place
    set -l command ''
    set -l dashes ''
    set -l operands 0
    set -l flag ''
    for word in (commandline -opc)[2..]
        if test -n "$flag"
            set flag ''
        else if test -z "$dashes"; and string match -q -- '-*' $word
            switch $word
                case --
                    set dashes --
                case ${valuedFlags().join(" ")}
                    set flag $word
            end
        else if test -z "$command$dashes" -a $operands = 0; and contains -- $word ${COMMANDS.join(" ")}
            set command $word
        else
            set operands (math $operands + 1)
        end
    end
    printf '%s\\n' "$command" "$dashes" $operands
end

# Succeeds where a command can be named.
function _tcphup_unnamed
    set -l place (_tcphup_place)
    test -z "$place[1]$place[2]" -a "$place[3]" = 0
end

# Succeeds within one of these commands.
function _tcphup_in
    set -l place (_tcphup_place)
    test -n "$place[1]"; or set place[1] hup
    contains -- $place[1] $argv
end

# Succeeds at an operand of a command, counted from 0.
function _tcphup_at -a command operand
    set -l place (_tcphup_place)
    _tcphup_in $command; and test $place[3] = $operand
end

# Succeeds at the program that a command runs, and at its arguments.
function _tcphup_behind -a command
    set -l place (_tcphup_place)
    _tcphup_in $command; and test -n "$place[2]"
end

function _tcphup_program
    set -l words (commandline -opc)
    __fish_complete_subcommand --fcs-skip=(contains -i -- -- $words)
end

complete -c tcphup -f
${COMMANDS.map(commandLine).join("\n")}
${COMMANDS.flatMap(operandLines).join("\n")}
${FLAGS.map(flagLine).join("\n")}
`;
}

/** Quotes a text as one word of fish. */
function quote(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}

/** Sets $typed to the value before the cursor. fish 4 has the flag in the same token. */
const TYPED = "set -l typed (commandline -ct | string replace -r -- '^--[^=]*=' '')";

function offerFunction(offer: Offer): string {
  const { words, source, list, signed, needsPrefix } = offer;
  const prefix = list ? "'^.*[,+]'" : signed ? "'^-'" : null;
  const lines = [
    ...needsPrefix || prefix ? [TYPED] : [],
    ...needsPrefix ? ['test -n "$typed"; or return'] : [],
    ...prefix ? [`set -l before (string match -r -- ${prefix} $typed)`] : [],
    ...words ? [`printf '%s\\n' ${prefix ? '"$before"' : ""}(string split ' ' '${words.join(" ")}')`] : [],
  ];
  return [`function ${functionName(offer)}`, ...lines, ...source ? [SOURCES[source]] : []].join("\n    ") + "\nend";
}

function commandLine(command: Command): string {
  return `complete -c tcphup -n _tcphup_unnamed -a ${command} -d ${quote(MANUALS[command].summary)}`;
}

function operandLines(command: Command): string[] {
  const { offers, program } = operandsOf(command);
  const operands = offers.map((offer, i) =>
    `complete -c tcphup -n '_tcphup_at ${command} ${i}' -a '(${functionName(offer)})'`
  );
  return program ? [...operands, `complete -c tcphup -n '_tcphup_behind ${command}' -a '(_tcphup_program)'`] : operands;
}

function flagLine(flag: Flag): string {
  const { name, short, value, optionalValue, help, commands } = flag;
  const offer = offerFor(flag);
  return [
    `complete -c tcphup -n '_tcphup_in ${commands.join(" ")}'`,
    ...short ? [`-s ${short}`] : [],
    `-l ${name}`,
    // -x: the value is a word of its own, and files are not offered for it.
    ...value !== undefined && optionalValue === undefined ? ["-x"] : [],
    ...offer ? [`-a '(${functionName(offer)})'`] : [],
    `-d ${quote(help)}`,
  ].join(" ");
}
