// The completions for bash(1). They need nothing but bash; bash-completion, where installed, loads them by name.

import { type Command, COMMANDS, type Flag } from "../flag.ts";
import { FLAGS } from "../table.ts";
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

/** The commands that list a source, an item a line. `$1` is the value typed so far. */
const SOURCES: Record<Source, string> = {
  file: 'compgen -f -- "$1"',
  holder: `${HOLDERS_COMMAND} | cut -f 1`,
  host: "compgen -A hostname",
  interface: "ls /sys/class/net",
  netns: "ls /run/netns 2>/dev/null",
  process: "cat /proc/[0-9]*/comm 2>/dev/null | sort -u",
  service: "compgen -A service",
  user: "compgen -u",
};

/** Writes the completions for bash, as a script to be sourced. */
export function bashCompletions(): string {
  return `# bash completions for tcphup, made by "tcphup completions bash"

# Offers the lines of its input that begin with $1, each after the prefix $2. Some come from other processes: compgen -W
# would expand them.
_tcphup_offer() {
  local line
  while read -r line; do
    [[ $line == "$1"* ]] || continue
    [[ $line == *[!A-Za-z0-9_.,:/@+-]* ]] && printf -v line %q "$line"
    COMPREPLY+=("$2$line")
  done
}

# Completes the program after --, with its own completions where bash-completion is installed.
_tcphup_program() {
  local i=1
  while [[ \${COMP_WORDS[i]} != -- ]]; do i=$((i + 1)); done
  if declare -F _command_offset >/dev/null; then
    _command_offset $((i + 1))
  elif ((COMP_CWORD == i + 1)); then
    _tcphup_offer "\${COMP_WORDS[COMP_CWORD]}" < <(compgen -c)
  fi
}

${allOffers().map(offerFunction).join("\n\n")}

_tcphup() {
  # Readline breaks words at = and :, which occur within words of tcphup.
  local line=$COMP_LINE piece words=()
  for piece in "\${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    if [[ \${#words[@]} -eq 0 || $line == [[:space:]]* ]]; then words+=("$piece"); else words[-1]+=$piece; fi
    line=\${line#*"$piece"}
  done
  local current=\${words[-1]} kept=\${words[-1]%"$piece"}
  [[ $piece == [=:]* ]] && kept=$current

  local command= flag= dashes= operand=0 word
  for word in "\${words[@]:1:\${#words[@]}-2}"; do
    if [[ $flag ]]; then
      flag=
    elif [[ ! $dashes && $word == -* ]]; then
      case $word in
        --) dashes=-- ;;
        ${valuedFlags().join(" | ")}) flag=$word ;;
      esac
    elif [[ ! $command$dashes && $operand -eq 0 && " ${COMMANDS.join(" ")} " == *" $word "* ]]; then
      command=$word
    else
      operand=$((operand + 1))
    fi
  done

  local value=$current assigned=
  if [[ ! $flag && ! $dashes && $current == --*=* ]]; then
    flag=\${current%%=*} value=\${current#*=} assigned=\${current%%=*}=
  fi
  COMPREPLY=()
  if [[ $flag ]]; then
    case $flag in
${FLAGS.flatMap(valueCase).join("\n")}
    esac
  elif [[ ! $dashes && $current == -* ]]; then
    case \${command:-hup} in
${COMMANDS.map(flagsCase).join("\n")}
    esac
  else
    case \${command:-hup}:$dashes$operand in
${COMMANDS.flatMap(operandCases).join("\n")}
    esac
    if [[ ! $command$dashes && $operand -eq 0 ]]; then
      _tcphup_offer "$current" < <(printf '%s\\n' ${COMMANDS.join(" ")})
    fi
  fi
  COMPREPLY=("\${COMPREPLY[@]/#/$assigned}")
  COMPREPLY=("\${COMPREPLY[@]#"$kept"}")
}

complete -F _tcphup tcphup
`;
}

function offerFunction(offer: Offer): string {
  const { words, source, list, signed, needsPrefix } = offer;
  const offered = list ? "${1##*[,+]}" : signed ? "${1#-}" : "$1";
  const arguments_ = offered === "$1" ? '"$1"' : `"${offered}" "\${1%"${offered}"}"`;
  const lines = [
    ...needsPrefix ? ["[[ $1 ]] || return"] : [],
    ...source === "file" ? ["compopt -o filenames"] : [],
    ...words ? [`_tcphup_offer ${arguments_} < <(printf '%s\\n' ${words.join(" ")})`] : [],
    ...source ? [`_tcphup_offer ${arguments_} < <(${SOURCES[source]})`] : [],
  ];
  return [`${functionName(offer)}() {`, ...lines.map((line) => `  ${line}`), "}"].join("\n");
}

function valueCase(flag: Flag): string[] {
  const offer = offerFor(flag);
  return offer ? [`      ${spellings(flag).join(" | ")}) ${functionName(offer)} "$value" ;;`] : [];
}

function flagsCase(command: Command): string {
  const names = flagsOf(command).map(({ name }) => `--${name}`);
  return `      ${command}) _tcphup_offer "$current" < <(printf '%s\\n' ${names.join(" ")}) ;;`;
}

function operandCases(command: Command): string[] {
  const { offers, program } = operandsOf(command);
  const cases = offers.map((offer, i) => {
    const afterDoubleDash = program ? "" : ` | ${command}:--${i}`;
    return `      ${command}:${i}${afterDoubleDash}) ${functionName(offer)} "$current" ;;`;
  });
  return program ? [...cases, `      ${command}:--*) _tcphup_program && return ;;`] : cases;
}
