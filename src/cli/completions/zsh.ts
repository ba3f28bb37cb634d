// Completions for zsh(1), by its _arguments: see zshcompsys(1).

import { type Command, type Flag, FLAGS } from "../flags.ts";
import { MANUALS } from "../help.ts";
import { COMMAND_NAMES, identifier, type Offer, offeredNames, offerFor, operandsOf, type Source } from "./offers.ts";

/** zsh's own functions that complete from a source, or what they would do. */
const SOURCES: Record<Source, string> = {
  command: "_command_names -e",
  file: "_files",
  host: "_hosts",
  interface: "_net_interfaces",
  netns: "compadd -- /run/netns/*(N:t)",
  pid: "_pids",
  process: 'compadd -- ${(uf)"$(cat /proc/[0-9]*/comm 2>/dev/null)"}',
  service: "_ports",
  user: "_users",
};

/** The completions for zsh, as the file `_tcphup` in a directory of $fpath. */
export function zshCompletions(): string {
  return `#compdef tcphup
# zsh completions for tcphup, made by "tcphup completions zsh"

${offeredNames().map((name) => offerFunction(name, offerFor(name)!)).join("\n\n")}

_tcphup_command() {
  local -a commands=(
${COMMAND_NAMES.map((command) => `    ${quote(`${command}:${MANUALS[command].summary}`)}`).join("\n")}
  )
  _describe command commands
}

# Without a command, DEST follows: what is meant then is hup.
_tcphup_command_or_dest() {
  _alternative 'commands:command:_tcphup_command' 'operands:DEST:_tcphup_dest'
}

_tcphup() {
  local command= curcontext=$curcontext
  integer i
  for ((i = 2; i < CURRENT; i++)); do
    case $words[i] in
      (${valuedFlags().join("|")}) ((i++)) ;;
      (--) break ;;
      (-*) ;;
      (${COMMAND_NAMES.join("|")})
        command=$words[i]
        words[i]=()
        ((CURRENT--))
        break
        ;;
      (*) break ;;
    esac
  done
  local first=_tcphup_dest
  [[ -z $command ]] && first=_tcphup_command_or_dest
  case \${command:-hup} in
${COMMAND_NAMES.map(commandCase).join("\n")}
  esac
}

# It is read as the function itself the first time, and may be sourced as well.
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _tcphup "$@"; else compdef _tcphup tcphup; fi
`;
}

/** Text as one word of zsh. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Text within a specification of _arguments. */
function escape(text: string): string {
  return text.replace(/[\\[\]:]/g, "\\$&");
}

function offerFunction(name: string, { words, sources, list }: Offer): string {
  const adders = [
    ...words.length > 0 ? [`${list ? "_sequence compadd -" : "compadd --"} ${words.join(" ")}`] : [],
    ...sources.map((source) => SOURCES[source]),
  ];
  const alternatives = adders.map((adder, i) => ` ${quote(`${identifier(name)}-${i}:${escape(name)}:{${adder}}`)}`);
  const body = adders.length === 1 ? adders : [`_alternative${alternatives.join("")}`];
  return [
    `_tcphup_${identifier(name)}() {`,
    ...(list ? ["  compset -P '+'"] : []),
    ...body.map((line) => `  ${line}`),
    "}",
  ].join("\n");
}

function valuedFlags(): string[] {
  const valued = FLAGS.filter(({ value, alone }) => value !== undefined && alone === undefined);
  return valued.flatMap(({ name, short }) => short ? [`-${short}`, `--${name}`] : [`--${name}`]);
}

function commandCase(command: Command): string {
  const flags = FLAGS.filter(({ commands }) => commands.includes(command)).flatMap(flagSpecs);
  const { names, program } = operandsOf(command);
  const operands = names.map((name, i) => {
    if (i === 0 && command === "hup") return `"1:${name}:$first"`;
    return quote(`${i + 1}:${escape(name)}:${offerFor(name) ? `_tcphup_${identifier(name)}` : ""}`);
  });
  const behind = program ? ["'(-)1:program: _command_names -e'", "'*::argument: _normal'"] : [];
  const specs = [...flags, ...operands, ...behind].map((spec) => `      ${spec}`).join(" \\\n");
  return `    (${command}) _arguments -s -S : \\\n${specs} ;;`;
}

function flagSpecs({ name, short, value, alone, help }: Flag): string[] {
  const spellings = short ? [`-${short}`, `--${name}`] : [`--${name}`];
  const action = value !== undefined && offerFor(value) ? `_tcphup_${identifier(value)}` : " ";
  return spellings.map((spelling) => {
    // A flag with a value may be given several times; one without excludes its other spelling.
    const others = value === undefined ? `(${spellings.join(" ")})` : "*";
    const long = spelling.startsWith("--");
    const equals = value === undefined ? "" : alone === undefined ? long ? "=" : "" : "=-";
    const operand = value === undefined ? "" : `:${alone === undefined ? "" : ":"}${escape(value)}:${action}`;
    return quote(`${others}${spelling}${equals}[${escape(help)}]${operand}`);
  });
}
