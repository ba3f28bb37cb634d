// The completions for zsh(1), by its _arguments: see zshcompsys(1).

import { type Command, COMMANDS, type Flag } from "../flag.ts";
import { MANUALS } from "../manuals.ts";
import {
  allOffers,
  flagsOf,
  functionName,
  HOLDERS_COMMAND,
  type Offer,
  offerFor,
  operandsOf,
  type Source,
  spellings,
  valuedFlags,
} from "./offers.ts";

/** The functions of zsh that complete from a source, or commands in their place. */
const SOURCES: Record<Source, string> = {
  file: "_files",
  holder: `local -a holders=(\${(f)"$(${HOLDERS_COMMAND} | tr '\\t' :)"}); _describe process holders`,
  host: "_hosts",
  interface: "_net_interfaces",
  netns: "compadd -- /run/netns/*(N:t)",
  process: 'compadd -- ${(uf)"$(cat /proc/[0-9]*/comm 2>/dev/null)"}',
  service: "_ports",
  user: "_users",
};

/** Writes the completions for zsh: the file `_tcphup` of a directory in $fpath, or to be sourced after compinit. */
export function zshCompletions(): string {
  return `#compdef tcphup
# zsh completions for tcphup, made by "tcphup completions zsh"

${allOffers().map(offerFunction).join("\n\n")}

_tcphup_command() {
  local -a commands=(
${COMMANDS.map((command) => `    ${quote(`${command}:${escape(MANUALS[command].summary)}`)}`).join("\n")}
  )
  _describe command commands
}

# Without a command, hup is meant and DEST may follow.
_tcphup_command_or_dest() {
  _alternative 'commands:command:_tcphup_command' 'operands:DEST:_tcphup_dest'
}

_tcphup() {
  local command= first=_tcphup_command_or_dest
  integer i
  for ((i = 2; i < CURRENT; i++)); do
    case $words[i] in
      (${valuedFlags().join("|")}) ((i++)) ;;
      (--) first=_tcphup_dest; break ;;
      (-*) ;;
      (${COMMANDS.join("|")})
        command=$words[i] first=_tcphup_dest
        words[i]=()
        ((CURRENT--))
        break
        ;;
      (*) break ;;
    esac
  done
  case \${command:-hup} in
${COMMANDS.map(commandCase).join("\n")}
  esac
}

# A file of $fpath is the function itself, read at its first call; elsewhere the script is sourced.
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _tcphup "$@"; else compdef _tcphup tcphup; fi
`;
}

/** Quotes a text as one word of zsh. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Escapes a text within a specification of _arguments or _describe. */
function escape(text: string): string {
  return text.replace(/[\\[\]:]/g, "\\$&");
}

function offerFunction(offer: Offer): string {
  const { words, source, list, signed, needsPrefix } = offer;
  const lines = [
    ...needsPrefix ? ["[[ -n $PREFIX ]] || return"] : [],
    ...signed ? ["compset -P '-'"] : [],
    ...list ? ["compset -P '+'"] : [],
    ...words ? [`${list ? "_sequence compadd -" : "compadd --"} ${words.join(" ")}`] : [],
    ...source ? [SOURCES[source]] : [],
  ];
  return [`${functionName(offer)}() {`, ...lines.map((line) => `  ${line}`), "}"].join("\n");
}

function commandCase(command: Command): string {
  const { offers, program } = operandsOf(command);
  const operands = offers.map((offer, i) => {
    const action = command === "hup" && i === 0 ? "$first" : functionName(offer);
    return `"${i + 1}:${offer.name}:${action}"`;
  });
  const behind = program ? ["'(-):program: _command_names -e'", "'*::argument: _normal'"] : [];
  const specs = [...flagsOf(command).flatMap(flagSpecs), ...operands, ...behind];
  return [`    (${command})`, `_arguments -s -S : \\`, specs.map((spec) => `  ${spec}`).join(" \\\n      "), ";;"]
    .join("\n      ");
}

function flagSpecs(flag: Flag): string[] {
  const { name, value, optionalValue, help, negatable } = flag;
  const offer = offerFor(flag);
  const all = spellings(flag);
  return all.map((spelling) => {
    const repeatable = value !== undefined || negatable || name === "not";
    const others = repeatable ? "*" : `(${all.join(" ")})`;
    if (value === undefined) return quote(`${others}${spelling}[${escape(help)}]`);
    const equals = optionalValue !== undefined ? "=-" : spelling.startsWith("--") ? "=" : "";
    const operand = `${optionalValue === undefined ? "" : ":"}:${escape(value)}:${offer ? functionName(offer) : " "}`;
    return quote(`${others}${spelling}${equals}[${escape(help)}]${operand}`);
  });
}
