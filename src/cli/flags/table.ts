// The flags of the command line, as data: parser, help, man page, completions and the Ansible module are made from this
// table.

import { type Command, COMMANDS, type Flag, section } from "./flag.ts";
import { HANG_UP_FLAGS } from "./hang_up_flags.ts";
import { KEEPALIVE_FLAGS } from "./keepalive_flags.ts";
import { SELECTING, SELECTION_FLAGS } from "./selection_flags.ts";

const reporting: readonly Command[] = ["hup", "ls", "keepalive", "plan", "doctor"];

const SELECTION = section({ group: "Selection", commands: SELECTING }, [
  { name: "ipv4", short: "4", help: "only connections over IPv4, also IPv4-mapped ones" },
  { name: "ipv6", short: "6", help: "only connections over IPv6" },
  {
    name: "include-session",
    help: "do not skip your own session, such as your ssh connection",
    more:
      "hup skips the connection that SSH_CONNECTION names, those that an ancestor of tcphup has accepted, and all of the " +
      "processes that serve its terminal, or the terminals attached to its tmux or screen. keepalive and ls skip nothing.",
  },
  {
    name: "listeners",
    help: "also listening sockets: what they accept from then on inherits the values",
    more:
      "A listener has no peer, so DEST is any. The other selection flags (local address and port, process, network " +
      "namespace) select listeners as they select connections. With --attach, listeners are left alone, and only what " +
      "they accept gets the values.",
    commands: ["keepalive"],
  },
]);

const FOLLOWING = section({ group: "Following", commands: ["follow"] }, [
  { name: "name", value: "NAME", help: "follow this name too: what any of the names has is live" },
  {
    name: "live-file",
    value: "FILE",
    help: "read the live addresses from a file instead, one a line",
    more:
      "It is read again and again, so that it may be replaced (rename) or be a link. # begins a comment. A file that cannot " +
      "be read, has no address, has a line that is none, or does not end with a newline changes nothing.",
  },
  {
    name: "after",
    value: "TIME",
    bare: ["s"],
    help: "an address has left when every answer for this time lacked it, default 15 s",
    more:
      "Where a name answers with a changing few of many addresses (weighted records, large load balancers), give a time " +
      "in which each of them comes up.",
  },
  { name: "was", value: "ADDRESS", help: "this address was live before: for a start after the name has moved" },
  { name: "elsewhere", help: "hang up on everything at PORT that no answer for the time of --after had" },
  {
    name: "ready",
    help: "hang up only once a live address accepts a connection at PORT",
    more: "follow tries it itself, for 1 s, and only while there is something to hang up on.",
  },
]);

const GUARDS = section({ group: "Guards", commands: ["hup", "keepalive", "follow"] }, [
  {
    name: "no-bpf",
    help: "load no BPF program: find holders in /proc, set keepalive through duplicates, run with a supervisor",
    more: "Where CAP_BPF and CAP_PERFMON allow that, BPF programs that run once find holders on hosts with many open " +
      "descriptors, and read and set the keepalive of many connections, or of connections without a holder. --verbose " +
      "says which way was taken, and why; with run, --debug does.",
    commands: [...SELECTING, "run"],
  },
  {
    name: "only-missing",
    help: "never override what an application has chosen",
    more:
      "Where SO_KEEPALIVE is on, it is left as it is, whatever its values. Where it is off, it is turned on, but a " +
      "TCP_USER_TIMEOUT that is set stays.",
    commands: ["keepalive"],
  },
  { name: "dry-run", short: "n", help: "show what would be done, touch nothing" },
  {
    name: "max",
    value: "N",
    help: "touch nothing when more than N match (exit 3)",
    more: "Connections that appear meanwhile count too: those beyond N are left alone, and the exit code is 1.",
    commands: ["hup", "follow"],
  },
  {
    name: "interactive",
    short: "i",
    help: "show a summary and ask before anything is touched",
    more:
      "Only on a terminal. Any answer but y touches nothing (exit 3). Connections that appear while the question stands " +
      "are left alone, except with --for.",
    commands: ["hup"],
  },
]);

const LISTING = section({ group: "Listing", commands: ["ls"] }, [
  {
    name: "summary",
    help: "count them by destination and process, the largest group first",
    more:
      "Also how many carried no data in either direction for 60 s or longer, how many have SO_KEEPALIVE off, and how " +
      "many bytes wait in their queues. Of connections that this host accepted, the destination is the local end.",
  },
  { name: "columns", value: "A,B,...", help: "show these columns; +A,B,... adds to the usual ones" },
  { name: "sort", value: "COLUMN", signed: true, help: "sort by a column; -COLUMN puts the greatest first" },
  {
    name: "keepalive",
    short: "k",
    help: "show their keepalive, and how long it takes to notice a dead peer",
    more:
      "It is read through a duplicate of an owner's descriptor, which takes the same rights as hanging up, or by a BPF " +
      "program, which takes CAP_BPF and CAP_PERFMON.",
  },
  {
    name: "pinned",
    help: "show what --pin keeps in force, with the numbers of connections by destination",
    more: "Instead of connections, so without DEST and selection flags. It takes CAP_SYS_ADMIN.",
  },
]);

const OUTPUT = section({ group: "Output", commands: SELECTING }, [
  {
    name: "watch",
    value: "TIME",
    bare: ["s"],
    optionalValue: null,
    help: "look again at this interval, default 1 s, until interrupted",
    more:
      "A time without a unit needs an equals sign: --watch=5, but --watch 500ms. An interrupt (^C, SIGTERM) is how it " +
      "ends, so the exit code is 0. ls --watch needs a terminal, except with --json-lines. keepalive --watch also has a " +
      "BPF program set new connections as they are made, as --attach does, where it may and where nothing selects by " +
      "process, user, state, interface or mark; it says so. Looking is then for MPTCP, listeners, and what an application " +
      "has set otherwise since, and its default is 10 s.",
    commands: ["ls", "keepalive"],
  },
  {
    name: "json-lines",
    help: "print one JSON object per line: a connection, a group of ls --summary, an event of follow",
    more: "With --watch, and of an event, each has the time when it was seen.",
    commands: ["ls", "keepalive", "follow"],
  },
  { name: "json", help: "print one JSON document", commands: reporting },
  { name: "quiet", short: "q", help: "print only errors, and JSON where it is asked for" },
  { name: "verbose", short: "v", help: "show every owner with its descriptor, and where the time went" },
  {
    name: "color",
    value: "WHEN",
    help: "print in color: auto (on a terminal), always or never",
    more: "auto prints no color where NO_COLOR is set or TERM is dumb.",
    commands: ["hup", "ls", "keepalive", "follow", "doctor"],
  },
  {
    name: "install",
    help: "install them for each shell, and the man page",
    more:
      "As root for all users, in /usr/local/share and /etc/fish; otherwise for you, in ~/.local/share, where man looks if " +
      "~/.local/bin is in PATH. The paths are printed. A file that is there and not tcphup's own is not replaced, and " +
      "then nothing is written.",
    commands: ["completions"],
  },
  { name: "help", short: "h", help: "show help; after a command, the help of that command", commands: COMMANDS },
  { name: "version", short: "V", help: "show the version", commands: COMMANDS },
]);

/** All flags, in the order of the help. */
export const FLAGS: readonly Flag[] = [
  ...SELECTION_FLAGS,
  ...SELECTION,
  ...KEEPALIVE_FLAGS,
  ...FOLLOWING,
  ...GUARDS,
  ...HANG_UP_FLAGS,
  ...LISTING,
  ...OUTPUT,
];
