// Completions for bash(1). They need nothing but bash; where bash-completion is there it loads them by their name.

import { type Command, type Flag, FLAGS } from "../flags.ts";
import { COMMAND_NAMES, identifier, type Offer, offeredNames, offerFor, operandsOf, type Source } from "./offers.ts";

/** Commands that print what a source lists, a line each. */
const SOURCES: Record<Source, string> = {
  command: "compgen -c",
  file: 'compgen -f -- "$1"',
  host: "compgen -A hostname",
  interface: "ls /sys/class/net",
  netns: "ls /run/netns 2>/dev/null",
  pid: "cd /proc && printf '%s\\n' [0-9]*",
  process: "cat /proc/[0-9]*/comm 2>/dev/null | sort -u",
  service: "compgen -A service",
  user: "compgen -u",
};

/** The completions for bash, as a script to be sourced. */
export function bashCompletions(): string {
  return `# bash completions for tcphup, made by "tcphup completions bash"

# Offers those lines of its input that begin with $1, each behind $2. They come from other processes in part, so they are
# not given to compgen -W, which would expand them.
_tcphup_offer() {
  local line
  while read -r line; do
    [[ $line == "$1"* ]] || continue
    [[ $line == *[!A-Za-z0-9_.,:/@+-]* ]] && printf -v line %q "$line"
    COMPREPLY+=("$2$line")
  done
}

${offeredNames().map((name) => offerFunction(name, offerFor(name)!)).join("\n\n")}
${COMMAND_NAMES.some((command) => operandsOf(command).program) ? PROGRAM : ""}
_tcphup() {
  # Readline breaks words at = and :, which are part of ours.
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
        --) dashes=1 ;;
        ${valuedFlags().join(" | ")}) flag=$word ;;
      esac
    elif [[ ! $command && $operand -eq 0 && " ${COMMAND_NAMES.join(" ")} " == *" $word "* ]]; then
      command=$word
    else
      operand=$((operand + 1))
    fi
  done

  COMPREPLY=()
  local value=$current assigned=
  if [[ ! $flag && ! $dashes && $current == --*=* ]]; then
    flag=\${current%%=*} value=\${current#*=} assigned=\${current%%=*}=
  fi
  if [[ $flag ]]; then
    case $flag in
${FLAGS.flatMap(valueCase).join("\n")}
    esac
  elif [[ ! $dashes && $current == -* ]]; then
    case \${command:-hup} in
${COMMAND_NAMES.map(flagsCase).join("\n")}
    esac
  else
    case \${command:-hup}:\${dashes:+--}$operand in
${COMMAND_NAMES.flatMap(operandCases).join("\n")}
    esac
    if [[ ! $command && $operand -eq 0 ]]; then
      _tcphup_offer "$current" < <(printf '%s\\n' ${COMMAND_NAMES.join(" ")})
    fi
  fi
  COMPREPLY=("\${COMPREPLY[@]/#/$assigned}")
  COMPREPLY=("\${COMPREPLY[@]#"$kept"}")
}

complete -F _tcphup tcphup
`;
}

function offerFunction(name: string, { words, sources, list }: Offer): string {
  const commands = [
    ...words.length > 0 ? [`printf '%s\\n' ${words.join(" ")}`] : [],
    ...sources.map((s) => SOURCES[s]),
  ];
  const [current, before] = list ? ['"${1##*[,+]}"', ' "${1%"${1##*[,+]}"}"'] : ['"$1"', ""];
  const lines = commands.map((command) => `  _tcphup_offer ${current}${before} < <(${command})`);
  if (sources.includes("file")) lines.unshift("  compopt -o filenames");
  return [`_tcphup_${identifier(name)}() {`, ...lines, "}"].join("\n");
}

/** The flags whose value is a word of its own. */
function valuedFlags(): string[] {
  return FLAGS.filter(({ value, alone }) => value !== undefined && alone === undefined).flatMap(spellings);
}

function spellings({ name, short }: Flag): string[] {
  return short ? [`-${short}`, `--${name}`] : [`--${name}`];
}

function valueCase(flag: Flag): string[] {
  if (flag.value === undefined || offerFor(flag.value) === null) return [];
  return [`      ${spellings(flag).join(" | ")}) _tcphup_${identifier(flag.value)} "$value" ;;`];
}

function flagsCase(command: Command): string {
  const names = FLAGS.filter(({ commands }) => commands.includes(command)).map(({ name }) => `--${name}`);
  return `      ${command}) _tcphup_offer "$current" < <(printf '%s\\n' ${names.join(" ")}) ;;`;
}

function operandCases(command: Command): string[] {
  const { names, program } = operandsOf(command);
  const cases = names.flatMap((name, i) =>
    offerFor(name) === null
      ? []
      : [`      ${command}:${i} | ${command}:--${i}) _tcphup_${identifier(name)} "$current" ;;`]
  );
  return program ? [...cases, `      ${command}:--*) _tcphup_program && return ;;`] : cases;
}

const PROGRAM = `
# Completes the program behind -- as if it stood alone; without bash-completion its name only.
_tcphup_program() {
  local i=0
  until [[ \${COMP_WORDS[i++]} == -- ]]; do :; done
  if declare -F _command_offset >/dev/null; then
    _command_offset "$i"
  elif [[ $operand -eq 0 ]]; then
    _tcphup_offer "$current" < <(compgen -c) && false
  else
    return 1
  fi
}
`;
