// The help, made from the table of flags and the manual of each command.

import { host } from "../../../ffi/deno.ts";
import { columnsHelp } from "../output/columns.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { FLAGS } from "./table.ts";
import type { Command, Flag } from "./flag.ts";
import { terminalSize } from "../output/screen.ts";
import { reflow, wrap, wrapItem } from "../output/wrap.ts";

/** The help of a command without its flags. */
export interface Manual {
  readonly usage: string;
  readonly summary: string;
  readonly text: string;
  readonly examples: readonly (readonly [string, string])[];
}

const DESTINATION = `DEST  the peer: an IPv4 or IPv6 address, a prefix (10.0.0.0/8), a host name (each of its
      addresses), or any
PORT  the peer's port: a number, a range (8000-8100), a service name; 0 or any for every port
      (the default)`;

/** The manual of each command, in the order of the help. */
export const MANUALS: Record<Command, Manual> = {
  hup: {
    usage: "tcphup [hup] DEST [PORT] [OPTIONS]",
    summary: "hang up on connections",
    text: `Calls shutdown(2) on each selected connection through a duplicate of its owner's descriptor. The
peer is sent a FIN after all data in flight, the application reads end-of-file. Listening sockets
are never touched.

${DESTINATION}`,
    examples: [
      ["tcphup 192.0.2.10 5432", "hang up on a database that has failed over"],
      ["tcphup --dry-run db.internal", "show what that would hit, on any port"],
      ["tcphup --destroy-after 10 2001:db8::/64", "destroy what is left after 10 s"],
    ],
  },
  ls: {
    usage: "tcphup ls DEST [PORT] [OPTIONS]",
    summary: "show connections and who holds them, touch nothing",
    text: `${DESTINATION}

Columns of the table. Without --columns they are those of "ss -tno" and the owner:
${columnsHelp()}`,
    examples: [
      ["tcphup ls 192.0.2.10", "who talks to this address"],
      ["tcphup ls --summary 10.0.0.0/8", "what would be hit, on one screen"],
      ["tcphup ls --watch -k any 5432", "watch connections to port 5432, with their keepalive"],
      ["tcphup ls --columns +idle --sort -idle any", "the longest unused first"],
      ["tcphup ls any 443 --json", "everything to port 443, for another program"],
    ],
  },
  keepalive: {
    usage: "tcphup keepalive DEST [PORT] [VALUES] [OPTIONS]",
    summary: "set keepalive on open connections",
    text: `Sets SO_KEEPALIVE and its values on each selected connection through a duplicate of its owner's
descriptor, reads them back, and reports the values before and after. A connection that has them
already is not touched, and counted as unchanged. Connections opened later need --attach, --watch,
or --listeners where they are accepted. What an application sets afterwards stays.

${DESTINATION}`,
    examples: [
      ["tcphup keepalive 192.0.2.10 5432", "notice within 150 s that the peer is dead"],
      ["tcphup keepalive --idle 20 --interval 5 --count 2 any", "all connections, within 30 s"],
      ["tcphup keepalive --listeners --sport 5432", "those of a server, and all that it will accept"],
      ["tcphup keepalive --watch --only-missing --netns all any", "a whole node, as a service"],
      ["tcphup keepalive --attach any", "a whole node, at no cost, before anybody has the connection"],
    ],
  },
  follow: {
    usage: "tcphup follow NAME [PORT] [OPTIONS]",
    summary: "hang up on what a name has left, as it happens",
    text: `Resolves NAME again and again, as this host resolves names (/etc/hosts, DNS), and hangs up on
connections to addresses that it has left, also on those that are opened later. It runs until it is
interrupted.

An address has left when every answer for the time of --after lacked it, so that a single answer
means nothing. Only an address that was in an answer can leave: name others with --was, or say
--elsewhere. Whatever is in doubt changes nothing: an error, an empty answer, a resolver that does
not answer. It is said once, and once more when it is over.

NAME  a host name, or NAME:PORT in one word; with --live-file there is none
PORT  the peer's port, as in hup: a number, a range, a service name; 0 or any for every port (the
      default)`,
    examples: [
      ["tcphup follow db.internal 5432", "a database whose name moves at a failover"],
      ["tcphup follow db.internal 5432 --was 10.0.0.5", "when it has moved already"],
      ["tcphup follow cache.internal 6379 --when-idle 200ms --ready", "gently, once the new one is up"],
      ["tcphup follow --live-file /run/live 8080 --netns all", "what a controller calls live, for all pods"],
    ],
  },
  run: {
    usage: "tcphup run [VALUES] [OPTIONS] [--] COMMAND [ARG...]",
    summary: "start a program with keepalive on all its TCP sockets",
    text: `Every TCP socket of COMMAND and of all that it starts gets the values before connect(2) or listen(2)
proceeds (seccomp user notification), in static programs and those written in Go too. COMMAND takes
the place of tcphup: the same process and parent, its own exit status. What it sets itself later
stays. Sockets made through io_uring are not seen.

Values come from the flags, otherwise from libkeepalive's variables (TCP_KEEPIDLE, TCP_KEEPINTVL,
TCP_KEEPCNT, TCP_USER_TIMEOUT, TCP_SYNCNT, TCP_MAXSEG, TCP_WINDOW_CLAMP, TCP_DEFER_ACCEPT),
otherwise from the defaults.

The default of --on is connect,listen; where Yama forbids these, socket. With socket, a process
makes its sockets itself, without the values, when it is in another control group than tcphup or,
without CAP_SYS_PTRACE, when it may not be looked into.

A signal whose handler lacks SA_RESTART makes connect or listen, with --on socket also socket, fail
with EINTR when it arrives before the supervisor takes up the call (microseconds, more on a busy
host). The call has not run then: a program that takes it for a connect under way is not connected.

A hardened unit needs SystemCallFilter=seccomp pidfd_getfd (with --on socket, only seccomp), and may
set neither LimitFSIZE=0 nor MemoryDenyWriteExecute=yes, with which the runtime ends with "Fatal
error". The compiled program ends with 101 where an argument is not UTF-8.`,
    examples: [
      ["tcphup run -- curl https://db.internal/", "with the defaults"],
      ["tcphup run --idle 5 --interval 5 --count 3 -- java -jar app.jar", "20 s to notice a dead peer"],
    ],
  },
  plan: {
    usage: "tcphup plan [VALUES] [OPTIONS]",
    summary: "show what keepalive values cost, and when they notice a dead peer",
    text: `Without VALUES and --within, it takes the values of this network namespace
(net.ipv4.tcp_keepalive_*). With some of VALUES, the others have the defaults below.

Formats of --emit:
  sysctl        a file for /etc/sysctl.d
  istio         a DestinationRule with tcpKeepalive
  envoyfilter   an EnvoyFilter with socket options
  kubernetes    a pod's securityContext
  haproxy       lines for a defaults section
  nginx         so_keepalive of a listen directive
  go            a net.KeepAliveConfig, and what uses it
  env           libkeepalive's variables`,
    examples: [
      ["tcphup plan", "the values of this host"],
      ["tcphup plan --within 30s --hosts 200", "the cheapest values for that, and their cost"],
      ["tcphup plan --idle 20 --interval 5 --count 2 --emit sysctl", "as configuration"],
    ],
  },
  unpin: {
    usage: "tcphup unpin NAME",
    summary: "end what --pin NAME has left in force",
    text: `Connections keep the values that they have. "tcphup ls --pinned" shows the names.`,
    examples: [["tcphup unpin node", "from now on connections are made without keepalive again"]],
  },
  doctor: {
    usage: "tcphup doctor [--json]",
    summary: "show what works on this host, what does not, and why",
    text: `Tries everything that tcphup depends on, with connections of its own on loopback.`,
    examples: [["tcphup doctor", "before relying on it"]],
  },
  completions: {
    usage: "tcphup completions [bash|zsh|fish] [--install]",
    summary: "print completions for a shell, or install them and the man page",
    text: `Prints a script that completes tcphup's commands, flags and values. What --install writes is found
without being sourced: by bash with bash-completion, zsh, fish and man.`,
    examples: [
      ["tcphup completions --install", "as root for everybody on this host, otherwise for you"],
      ["source <(tcphup completions bash)", "in ~/.bashrc"],
      ["source <(tcphup completions zsh)", "in ~/.zshrc, after compinit"],
    ],
  },
};

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
  const groups = [...new Set(flags.map(({ group }) => group))];
  return groups.map((group) => {
    const lines = flags.filter((flag) => flag.group === group).flatMap((flag) => flagHelp(flag, true, width));
    return [`${group}:`, ...lines].join("\n");
  }).join("\n\n");
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
