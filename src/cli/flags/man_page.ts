// The man page in the macros of man(7), made from the table of flags and the manuals like the help.

import { KEEPALIVE_FIELDS } from "../../keepalive/values.ts";
import { FLAGS } from "./table.ts";
import type { Flag } from "./flag.ts";
import { EXIT_CODES } from "./exit_codes.ts";
import { capitalize, operandOf, timesHelp } from "./help_text.ts";
import { MANUALS } from "./manuals.ts";
import { VERSION } from "./version.ts";

const DESCRIPTION = [
  "tcphup hangs up on TCP and MPTCP connections from outside the programs that hold them: the peer is sent a FIN and the " +
  "application reads end-of-file, without a restart, packet injection or a change to the application. It is for the " +
  "moment after a failover, when clients keep idle connections to an address that is dead.",
  "Without a command it is hup. Listening sockets are never touched, and your own session is spared. --dry-run shows " +
  "what would be done.",
  "Connections of your own processes take no privileges, except where kernel.yama.ptrace_scope is above 0. All others " +
  "take CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, other network namespaces CAP_SYS_ADMIN, and what no process holds " +
  "CAP_NET_ADMIN. tcphup doctor tries them. With CAP_SYS_NICE, hup goes before the programs that it wakes (nice -10).",
];

const FAILOVER = [
  "Hang up once the address has moved, a single time, and without --for. Clients that are hung up on earlier connect to an " +
  "address at which nobody answers yet, and wait. Some wait longer each time that they are cut: measured with gRPC, 3 s, " +
  "and 8 s when it was cut again.",
  "A pool that looks at an idle connection before it hands it out loses no request: measured with redis-py, node-postgres, " +
  "ioredis, undici, Java's HttpClient, Go's net/http, nginx and HAProxy. One that does not look loses a request for each " +
  "idle connection, whoever has ended it: those of psycopg2, of psycopg 3 without check, pymemcache, pgxpool 4, redigo " +
  "without TestOnBorrow, SQLAlchemy without pool_pre_ping.",
  "After the time of --linger, a connection to a dead host ends with an error (ETIMEDOUT), which an application that has " +
  "not read end-of-file yet reads first. Some pools take that for a connection that is well (redis-py). hup that waits, " +
  "as with --verify, and follow take the error away.",
];

/** The environment variables, with what each is for. */
const ENVIRONMENT: readonly (readonly [names: string, text: string])[] = [
  ["NO_COLOR", "When it is set, nothing is printed in color, unless --color is always."],
  ["TERM", "When it is not set, or dumb, nothing is printed in color, and no progress is shown."],
  ["SSH_CONNECTION", "Of tcphup, or of an ancestor of it: the connection that hup skips without --include-session."],
  ["PATH", "Where run looks for COMMAND."],
  ...Object.values(KEEPALIVE_FIELDS).map(({ variable, label, unit }) =>
    [variable, `For run, where --${label} is not given: the same, in ${unit}.`] as const
  ),
  ["LIBKEEPALIVE_DEBUG", "For run: when it is set, as --debug."],
  ["XDG_DATA_HOME, HOME", "For completions --install: where your files are, ~/.local/share if only HOME is set."],
];

const FILES: readonly (readonly [path: string, text: string])[] = [
  ["/proc/PID", "Who holds which socket (fd), in which network namespace (ns/net), and what selects by owner."],
  ["/run/netns", "The names of network namespaces for --netns."],
  ["/etc/hosts, /etc/services", "Names of hosts and of ports, as nsswitch.conf(5) says."],
  ["/proc/sys/net/ipv4/tcp_keepalive_*", "The values that plan goes by when none is given."],
  ["/sys/fs/bpf/tcphup", "What keepalive --pin has attached, until unpin."],
  ["/usr/local/share, /etc/fish, ~/.local/share", "What completions --install has written."],
];

const SEE_ALSO = ["shutdown(2)", "pidfd_getfd(2)", "sock_diag(7)", "tcp(7)", "capabilities(7)", "ss(8)"];

/** Writes tcphup.1. */
export function manPage(): string {
  const manuals = Object.entries(MANUALS);
  return [
    `.TH TCPHUP 1 "" "tcphup ${VERSION}" "User Commands"`,
    ".SH NAME",
    "tcphup \\- hang up on TCP connections from outside the programs that hold them",
    ".SH SYNOPSIS",
    ...manuals.flatMap(([, { usage }], i) => [...i > 0 ? [".br"] : [], usage.replace(/^tcphup/, bold("tcphup"))]),
    ".SH DESCRIPTION",
    ...DESCRIPTION.flatMap((paragraph) => [".PP", roff(paragraph)]),
    ".SH COMMANDS",
    ...manuals.flatMap(([name, { summary, text }]) => [
      `.SS ${name}`,
      roff(`${capitalize(summary)}.`),
      ".PP",
      ...text.split("\n").flatMap(textLine),
    ]),
    ".SH OPTIONS",
    roff(timesHelp().trim().replaceAll("\n", " ")),
    ...[...Map.groupBy(FLAGS, ({ group }) => group)].flatMap(([group, flags]) => [
      `.SS ${group}`,
      ...flags.flatMap(option),
    ]),
    ".SH AFTER A FAILOVER",
    ...FAILOVER.flatMap((paragraph) => [".PP", roff(paragraph)]),
    ".SH EXIT STATUS",
    ...exitStatus(),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(([names, text]) => tagged(bold(literal(names)), roff(text))),
    ".SH FILES",
    ...FILES.flatMap(([path, text]) => tagged(bold(literal(path)), roff(text))),
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
