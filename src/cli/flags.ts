// The flags of the command line, as data: the parser and the help are made from this table.

import type { Command, Flag } from "./flag.ts";
import { SELECTION_FLAGS } from "./selection_flags.ts";

export type { Command, Flag } from "./flag.ts";

const all: readonly Command[] = ["hup", "ls", "keepalive", "run", "plan", "doctor", "completions"];
const reporting: readonly Command[] = ["hup", "ls", "keepalive", "plan", "doctor"];
const selecting: readonly Command[] = ["hup", "ls", "keepalive"];
/** Those that take keepalive values. */
const valued: readonly Command[] = ["keepalive", "run", "plan"];

/** Every flag, in the order of the help. */
export const FLAGS: readonly Flag[] = [
  ...SELECTION_FLAGS,
  {
    name: "ipv4",
    short: "4",
    help: "only connections over IPv4, v4-mapped ones included",
    group: "Selection",
    commands: selecting,
  },
  { name: "ipv6", short: "6", help: "only connections over IPv6", group: "Selection", commands: selecting },
  {
    name: "include-session",
    help: "do not spare your own session, such as your ssh connection",
    more:
      "hup spares what SSH_CONNECTION names, what an ancestor of tcphup has accepted, and whatever those hold who " +
      "serve its terminal, or that of a client of tmux or screen. keepalive and ls spare nothing.",
    group: "Selection",
    commands: selecting,
  },
  {
    name: "listeners",
    help: "also listening sockets: what they accept from then on has the values",
    more: "A listener has no peer, so DEST is any, and the rest of the selection (this host's address and port, the " +
      "process, the network namespace) chooses listeners as it chooses connections.",
    group: "Selection",
    commands: ["keepalive"],
  },
  {
    name: "idle",
    value: "TIME",
    bare: ["s"],
    signed: true,
    help: "how long without a sign of the peer before the first probe, default 15 s",
    more: "1 to 32767 s. 0, here as in all values, leaves what the socket has.",
    group: "Values",
    commands: valued,
  },
  {
    name: "interval",
    value: "TIME",
    bare: ["s"],
    signed: true,
    help: "from one unanswered probe to the next, default 15 s",
    more: "1 to 32767 s.",
    group: "Values",
    commands: valued,
  },
  {
    name: "count",
    value: "N",
    signed: true,
    help: "unanswered probes after which the connection is dropped, default 9",
    more: "1 to 127.",
    group: "Values",
    commands: valued,
  },
  {
    name: "user-timeout",
    value: "TIME",
    bare: ["ms", "s"],
    signed: true,
    help: "how long data or a probe may stay unanswered (TCP_USER_TIMEOUT), default auto",
    more: "A time, or auto: idle + interval x count, at which the count is reached too. Where it is " +
      "set the kernel goes by it and not by the count. Without it, data in flight waits for a quarter of an hour.",
    group: "Values",
    commands: valued,
  },
  {
    name: "syncnt",
    value: "N",
    signed: true,
    help: "how often a SYN is sent again before a connect fails",
    more: "1 to 127. It bears on connections that are being opened.",
    group: "Values",
    commands: valued,
  },
  {
    name: "maxseg",
    value: "BYTES",
    signed: true,
    help: "the largest segment (TCP_MAXSEG)",
    more: "88 to 32767. It bears on connections that are being opened and, by way of listeners, accepted.",
    group: "Values",
    commands: valued,
  },
  {
    name: "window-clamp",
    value: "BYTES",
    signed: true,
    help: "the largest window to advertise (TCP_WINDOW_CLAMP)",
    group: "Values",
    commands: valued,
  },
  {
    name: "defer-accept",
    value: "TIME",
    bare: ["s"],
    signed: true,
    help: "how long a listener waits for data before it wakes its application",
    more: "The kernel rounds up to 1, 3, 7, 15 s and so on.",
    group: "Values",
    commands: valued,
  },
  {
    name: "off",
    help: "turn SO_KEEPALIVE off instead, and leave everything else, the user timeout too",
    group: "Values",
    commands: ["keepalive"],
  },
  {
    name: "on",
    value: "CALLS",
    help: "at which calls a socket gets them: connect,listen (the default), socket",
    more: "A socket has its values before the call proceeds. With socket, it is made in the program's place, and has " +
      "them before the program sees it.",
    group: "Launching",
    commands: ["run"],
  },
  {
    name: "debug",
    help: "say on standard error what could not be set (LIBKEEPALIVE_DEBUG)",
    group: "Launching",
    commands: ["run"],
  },
  {
    name: "within",
    value: "TIME",
    bare: ["s"],
    help: "find the cheapest values that notice a dead peer within that time",
    group: "Values",
    commands: ["plan"],
  },
  {
    name: "services",
    value: "N",
    help: "connections that each host keeps open, default 3",
    group: "Planning",
    commands: ["plan"],
  },
  {
    name: "hosts",
    value: "N",
    help: "how many hosts, default 1",
    group: "Planning",
    commands: ["plan"],
  },
  {
    name: "probe-bytes",
    value: "N",
    help: "size of a probe on the wire, default 64, the least that an Ethernet frame has",
    group: "Planning",
    commands: ["plan"],
  },
  {
    name: "emit",
    value: "FORMAT",
    help: "print the values as configuration",
    more: "Values that the format has no word for are named in a comment.",
    group: "Output",
    commands: ["plan"],
  },
  {
    name: "only-missing",
    help: "never override what an application chose",
    more: "Where SO_KEEPALIVE is on it is left as it is, whatever its values; where it is off it is turned on, but a " +
      "TCP_USER_TIMEOUT that is set stays.",
    group: "Guards",
    commands: ["keepalive"],
  },
  {
    name: "dry-run",
    short: "n",
    help: "show what would be done, touch nothing",
    group: "Guards",
    commands: ["hup", "keepalive"],
  },
  {
    name: "max",
    value: "N",
    help: "when more than N match, touch nothing (exit 3)",
    more: "Connections that appear while it works count too: those beyond N are left alone, and the exit code is 1.",
    group: "Guards",
    commands: ["hup"],
  },
  {
    name: "interactive",
    short: "i",
    help: "show a summary and ask before anything is touched",
    more:
      "On a terminal only. Anything but y touches nothing (exit 3). What appears while the question stands is left alone, unless --for is given.",
    group: "Guards",
    commands: ["hup"],
  },
  {
    name: "linger",
    value: "TIME",
    bare: ["ms", "s"],
    help: "how long an unanswered FIN may linger (TCP_USER_TIMEOUT), default 5 s",
    more:
      "Data that a slow but living peer has not acknowledged by then is lost. 0 leaves the socket's own setting, with " +
      "which a FIN to a dead peer stays for up to a quarter of an hour and holds its local port.",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "fin-only",
    help: "shut down sending alone: the application reads until the peer has ended too",
    more: "TCP_USER_TIMEOUT (--linger) bounds the time until the peer has acknowledged the FIN. What follows, in " +
      "FIN-WAIT-2, lasts until the peer ends or the application closes, unless --destroy-after says otherwise. Some " +
      "peers, nginx for one, take a FIN for the end of both ways and break off their answer.",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "wait",
    value: "TIME",
    bare: ["s"],
    help: "wait so long at most until they are gone, report what lingers",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "verify",
    help: "look again in the end, and report what lingers (exit 1)",
    more:
      "It waits for what --wait says or, without it, a second longer than --linger; no longer than until all are gone.",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "destroy-after",
    value: "TIME",
    bare: ["s"],
    help: "so much later, abort what is still there, and what has no owner",
    more: "Aborting sends a RST. It uses SOCK_DESTROY (CAP_NET_ADMIN, CONFIG_INET_DIAG_DESTROY) or, without that, " +
      "connect(AF_UNSPEC) on a duplicate of the owner's descriptor, which there is none of where the program has closed " +
      "it meanwhile: where that could be so, hup says it before it begins. What its program has closed is also left " +
      "alone where SOCK_DESTROY would stop its timers (Linux before 6.11).",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "destroy",
    help: "abort at once with a RST instead of hanging up",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "rate",
    value: "N/s",
    help: "cut at most N a second; N/m and N/h are a minute and an hour",
    more:
      "Connections that appear meanwhile are those that were made anew: they are left alone, except with --for. So " +
      "it is with --over and --when-idle.",
    group: "Pacing",
    commands: ["hup"],
  },
  {
    name: "over",
    value: "TIME",
    bare: ["s"],
    help: "spread the cuts evenly over that time",
    group: "Pacing",
    commands: ["hup"],
  },
  {
    name: "jitter",
    value: "PERCENT",
    help: "how much of the time between two cuts chance may move each, default 50",
    more: "0 makes them regular. 100 makes each moment equally likely.",
    group: "Pacing",
    commands: ["hup"],
  },
  {
    name: "when-idle",
    value: "TIME",
    bare: ["ms", "s"],
    help: "cut each when it carries nothing, and no data went for that long",
    more:
      "So that requests under way are finished and only the pauses between them are cut. One that takes longer than " +
      "that to be answered looks like a pause: give a time longer than answers take. At the client's end, a request " +
      "that begins at the moment of the cut is either refused with EPIPE before it is sent, or sent before the FIN, and " +
      "its answer can be read: from servers that answer who has ended sending, which nginx as a proxy does only with " +
      "proxy_ignore_client_abort on. At the server's end it may be on its way already, and is lost: cut at the " +
      "client's end where you can.",
    group: "Pacing",
    commands: ["hup"],
  },
  {
    name: "deadline",
    value: "TIME",
    bare: ["s"],
    help: "with --when-idle: cut after that time what was never idle, default 30 s",
    group: "Pacing",
    commands: ["hup"],
  },
  {
    name: "leave-busy",
    help: "with --when-idle: leave alone what was never idle, and say so",
    group: "Pacing",
    commands: ["hup"],
  },
  {
    name: "for",
    value: "TIME",
    bare: ["s"],
    help: "go on for that long: cut what appears, too",
    more: "For clients that still find the old address and connect to it again.",
    group: "Pacing",
    commands: ["hup"],
  },
  {
    name: "every",
    value: "TIME",
    bare: ["ms", "s"],
    help: "with --for: how often to look, default 500 ms",
    group: "Pacing",
    commands: ["hup"],
  },
  {
    name: "summary",
    help: "count them by destination and process, the most first",
    more: "With how many carried no data either way for 60 s or longer, how many have SO_KEEPALIVE off, and how many " +
      "bytes wait in their queues. Where this host accepted the connections, the destination is its own end.",
    group: "Listing",
    commands: ["ls"],
  },
  {
    name: "columns",
    value: "A,B,...",
    help: "show these columns; +A,B,... adds them to the usual ones",
    group: "Listing",
    commands: ["ls"],
  },
  {
    name: "sort",
    value: "COLUMN",
    signed: true,
    help: "put them in order; -COLUMN begins with the greatest",
    group: "Listing",
    commands: ["ls"],
  },
  {
    name: "keepalive",
    short: "k",
    help: "show their keepalive, and after how long a dead peer is noticed",
    more: "It is read through a duplicate of each owner's descriptor, which takes the same rights as hanging up.",
    group: "Listing",
    commands: ["ls"],
  },
  {
    name: "watch",
    value: "TIME",
    bare: ["s"],
    alone: "1",
    help: "look again so often, every second unless said, until interrupted",
    more:
      "A time without a unit follows an equals sign: --watch=5, but --watch 500ms. An interrupt (^C, SIGTERM) is how it ends, so the " +
      "exit code is 0. ls needs a terminal for it, except with --json-lines.",
    group: "Output",
    commands: ["ls", "keepalive"],
  },
  {
    name: "json-lines",
    help: "print one JSON object a line: a connection, or a group of ls --summary",
    more: "With --watch, each has the time at which it was seen.",
    group: "Output",
    commands: ["ls", "keepalive"],
  },
  { name: "json", help: "print one JSON document", group: "Output", commands: reporting },
  {
    name: "quiet",
    short: "q",
    help: "print nothing but errors, and what --json asks for",
    group: "Output",
    commands: selecting,
  },
  {
    name: "verbose",
    short: "v",
    help: "name every owner with its descriptor, and where the time went",
    group: "Output",
    commands: selecting,
  },
  {
    name: "color",
    value: "WHEN",
    help: "print in colour: auto, which is on a terminal, always or never",
    more: "Not where NO_COLOR is set, or TERM is dumb, unless it is always.",
    group: "Output",
    commands: ["hup", "ls", "keepalive", "doctor"],
  },
  { name: "help", short: "h", help: "show help; after a command, that command's", group: "Output", commands: all },
  { name: "version", short: "V", help: "show the version", group: "Output", commands: all },
];
