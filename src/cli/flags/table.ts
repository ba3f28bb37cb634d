// The flags of the command line, as data: parser, help, man page, completions and the Ansible module are made from this
// table.

import { type Command, COMMANDS, type Flag } from "./flag.ts";
import { SELECTING, SELECTION_FLAGS } from "./selection_flags.ts";

const reporting: readonly Command[] = ["hup", "ls", "keepalive", "plan", "doctor"];
/** The commands that take keepalive values. */
const valued: readonly Command[] = ["keepalive", "run", "plan"];

/** All flags, in the order of the help. */
export const FLAGS: readonly Flag[] = [
  ...SELECTION_FLAGS,
  {
    name: "ipv4",
    short: "4",
    help: "only connections over IPv4, also IPv4-mapped ones",
    group: "Selection",
    commands: SELECTING,
  },
  { name: "ipv6", short: "6", help: "only connections over IPv6", group: "Selection", commands: SELECTING },
  {
    name: "include-session",
    help: "do not skip your own session, such as your ssh connection",
    more:
      "hup skips the connection that SSH_CONNECTION names, those that an ancestor of tcphup has accepted, and all of the " +
      "processes that serve its terminal, or the terminals attached to its tmux or screen. keepalive and ls skip nothing.",
    group: "Selection",
    commands: SELECTING,
  },
  {
    name: "listeners",
    help: "also listening sockets: what they accept from then on inherits the values",
    more:
      "A listener has no peer, so DEST is any. The other selection flags (local address and port, process, network " +
      "namespace) select listeners as they select connections. With --attach, listeners are left alone, and only what " +
      "they accept gets the values.",
    group: "Selection",
    commands: ["keepalive"],
  },
  {
    name: "idle",
    value: "TIME",
    bare: ["s"],
    signed: true,
    help: "silence of the peer before the first probe, default 15 s",
    more: "1 to 32767 s. Here, as in all values, 0 leaves what the socket has.",
    group: "Values",
    commands: valued,
  },
  {
    name: "interval",
    value: "TIME",
    bare: ["s"],
    signed: true,
    help: "time between unanswered probes, default 15 s",
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
    more:
      "A time, or auto: idle + interval x count, which is when the count is reached too. Where it is set, the kernel " +
      "goes by it and not by the count. Without it, data in flight is retried for a quarter of an hour.",
    group: "Values",
    commands: valued,
  },
  {
    name: "syncnt",
    value: "N",
    signed: true,
    help: "how many times a SYN is sent again before connecting fails",
    more: "1 to 127. It affects connections that are being opened.",
    group: "Values",
    commands: valued,
  },
  {
    name: "maxseg",
    value: "BYTES",
    signed: true,
    help: "the largest segment (TCP_MAXSEG)",
    more: "88 to 32767. It affects connections that are being opened or, through listeners, accepted.",
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
    help: "how long a listener waits for data before waking its application",
    more: "The kernel rounds up to 1, 3, 7, 15 s and so on.",
    group: "Values",
    commands: valued,
  },
  {
    name: "off",
    help: "turn SO_KEEPALIVE off instead, and leave the other values, the user timeout too",
    group: "Values",
    commands: ["keepalive"],
  },
  {
    name: "attach",
    help: "set it also as each connection is made, in the kernel, until interrupted",
    more:
      "A BPF program sets it before the application has the connection, in every network namespace unless --netns names " +
      "some. It is attached to the root of cgroup v2 or, with --cgroup, --container or --pid, to those groups, the " +
      "process's own for --pid. A socket belongs to the group in which it was opened, an accepted one to its " +
      "listener's. Addresses, ports, users, network namespaces and --filter with these narrow it, and nothing else can. " +
      "Of several programs the one on the innermost group decides, then the one with the longest prefix of the peer, " +
      "then the one with further conditions, then the one attached last. What an application sets afterwards stays. Of " +
      "MPTCP the subflows get the values, which the MPTCP socket does not show: --watch sets these. It takes CAP_BPF " +
      "and CAP_NET_ADMIN; --user also CAP_PERFMON, and --only-missing Linux 6.1.",
    group: "Attaching",
    commands: ["keepalive"],
  },
  {
    name: "outgoing",
    help: "with --attach: only connections that this host opens, not those that it accepts",
    group: "Attaching",
    commands: ["keepalive"],
  },
  {
    name: "only-new",
    help: "with --attach: leave alone the connections that are open already",
    more:
      "These take other rights: CAP_SYS_PTRACE or CAP_PERFMON, CAP_SYS_ADMIN for other network namespaces, and the PID " +
      "namespace of the host. Without --only-new, each that cannot be set is named.",
    group: "Attaching",
    commands: ["keepalive"],
  },
  {
    name: "pin",
    value: "NAME",
    help: "end at once, and leave what --attach, --refuse or --redirect does in force until tcphup unpin NAME",
    more:
      "In keepalive it implies --attach. It needs a bpffs (mount -t bpf bpf /sys/fs/bpf), and one control group. Where the " +
      "same is pinned under that name, only what is open is seen to. A pin lasts until the next boot; tcphup ls --pinned " +
      "shows it.",
    group: "Attaching",
    commands: ["hup", "keepalive"],
  },
  {
    name: "on",
    value: "CALLS",
    help: "the calls at which a socket gets the values: connect,listen (the default), socket",
    more:
      "A socket has the values before the call proceeds. With socket, tcphup creates the socket for the program, which " +
      "receives it with the values set. Other calls than the default take a supervisor.",
    group: "Launching",
    commands: ["run"],
  },
  {
    name: "debug",
    help: "print to standard error who sets the values, why, and what could not be set (LIBKEEPALIVE_DEBUG)",
    group: "Launching",
    commands: ["run"],
  },
  {
    name: "within",
    value: "TIME",
    bare: ["s"],
    help: "find the cheapest values that notice a dead peer within this time",
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
    help: "number of hosts, default 1",
    group: "Planning",
    commands: ["plan"],
  },
  {
    name: "probe-bytes",
    value: "N",
    help: "size of a probe on the wire, default 64, the smallest Ethernet frame",
    group: "Planning",
    commands: ["plan"],
  },
  {
    name: "emit",
    value: "FORMAT",
    help: "print the values as configuration",
    more: "A comment names the values that the format cannot express.",
    group: "Output",
    commands: ["plan"],
  },
  {
    name: "name",
    value: "NAME",
    help: "follow this name too: what any of the names has is live",
    group: "Following",
    commands: ["follow"],
  },
  {
    name: "live-file",
    value: "FILE",
    help: "read the live addresses from a file instead, one a line",
    more:
      "It is read again and again, so that it may be replaced (rename) or be a link. # begins a comment. A file that cannot " +
      "be read, has no address, has a line that is none, or does not end with a newline changes nothing.",
    group: "Following",
    commands: ["follow"],
  },
  {
    name: "after",
    value: "TIME",
    bare: ["s"],
    help: "an address has left when every answer for this time lacked it, default 15 s",
    more:
      "Where a name answers with a changing few of many addresses (weighted records, large load balancers), give a time " +
      "in which each of them comes up.",
    group: "Following",
    commands: ["follow"],
  },
  {
    name: "was",
    value: "ADDRESS",
    help: "this address was live before: for a start after the name has moved",
    group: "Following",
    commands: ["follow"],
  },
  {
    name: "elsewhere",
    help: "hang up on everything at PORT that no answer for the time of --after had",
    group: "Following",
    commands: ["follow"],
  },
  {
    name: "ready",
    help: "hang up only once a live address accepts a connection at PORT",
    more: "follow tries it itself, for 1 s, and only while there is something to hang up on.",
    group: "Following",
    commands: ["follow"],
  },
  {
    name: "no-bpf",
    help: "load no BPF program: find holders in /proc, set keepalive through duplicates, run with a supervisor",
    more: "Where CAP_BPF and CAP_PERFMON allow that, BPF programs that run once find holders on hosts with many open " +
      "descriptors, and read and set the keepalive of many connections, or of connections without a holder. --verbose " +
      "says which way was taken, and why; with run, --debug does.",
    group: "Guards",
    commands: [...SELECTING, "run"],
  },
  {
    name: "only-missing",
    help: "never override what an application has chosen",
    more:
      "Where SO_KEEPALIVE is on, it is left as it is, whatever its values. Where it is off, it is turned on, but a " +
      "TCP_USER_TIMEOUT that is set stays.",
    group: "Guards",
    commands: ["keepalive"],
  },
  {
    name: "dry-run",
    short: "n",
    help: "show what would be done, touch nothing",
    group: "Guards",
    commands: ["hup", "keepalive", "follow"],
  },
  {
    name: "max",
    value: "N",
    help: "touch nothing when more than N match (exit 3)",
    more: "Connections that appear meanwhile count too: those beyond N are left alone, and the exit code is 1.",
    group: "Guards",
    commands: ["hup", "follow"],
  },
  {
    name: "interactive",
    short: "i",
    help: "show a summary and ask before anything is touched",
    more:
      "Only on a terminal. Any answer but y touches nothing (exit 3). Connections that appear while the question stands " +
      "are left alone, except with --for.",
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
      "which a FIN to a dead peer lingers for up to a quarter of an hour and holds the local port.",
    group: "Hanging up",
    commands: ["hup", "follow"],
  },
  {
    name: "fin-only",
    help: "shut down only sending: the application reads on until the peer closes too",
    more:
      "TCP_USER_TIMEOUT (--linger) bounds the time until the peer has acknowledged the FIN. After that the connection " +
      "stays in FIN-WAIT-2 until the peer or the application closes it, or until --destroy-after. Some peers, nginx " +
      "for one, take a FIN for the end of both directions and break off their answer.",
    group: "Hanging up",
    commands: ["hup", "follow"],
  },
  {
    name: "wait",
    value: "TIME",
    bare: ["s"],
    help: "wait up to this long until all are gone, and report what lingers",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "verify",
    help: "look again at the end, and report what lingers (exit 1)",
    more:
      "It waits until all are gone, for as long as --wait says or, without it, a second longer than --linger. While hup " +
      "waits, it takes away the error with which a connection to a dead host ends, so that its application reads " +
      "end-of-file however late it looks.",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "destroy-after",
    value: "TIME",
    bare: ["s"],
    help: "after this time, destroy what is still there, and what has no owner",
    more: "Destroying sends a RST. It uses SOCK_DESTROY (CAP_NET_ADMIN, CONFIG_INET_DIAG_DESTROY) or, without that, " +
      "connect(AF_UNSPEC) on a duplicate of an owner's descriptor. Without SOCK_DESTROY, nothing destroys a connection " +
      "that its program has closed: hup warns before it begins when that could happen. Before Linux 6.11, " +
      "SOCK_DESTROY would stop the timers of such a connection, so it is left alone.",
    group: "Hanging up",
    commands: ["hup", "follow"],
  },
  {
    name: "destroy",
    help: "destroy at once with a RST instead of hanging up",
    group: "Hanging up",
    commands: ["hup", "follow"],
  },
  {
    name: "refuse",
    value: "TIME",
    bare: ["s"],
    optionalValue: null,
    help: "refuse connect(2) to it for this long, or until interrupted, so that clients try their next address",
    more:
      "In the kernel (BPF), before anything is hung up on, so that no client connects to it again. connect(2) fails at " +
      "once with ECONNREFUSED, before Linux 5.18 with EPERM. It concerns every program of this network namespace, or of " +
      "those that --netns names; with --cgroup or --container, those in that group. The selection may go by DEST, PORT, " +
      "--dst-file, --user, these, and --filter with the same. It ends with tcphup, however that ends. A time without a " +
      "unit needs an equals sign: --refuse=60, but --refuse 10m. In follow it takes no time, and concerns what has left for " +
      "as long as it is out. It takes cgroup v2, CAP_BPF and CAP_NET_ADMIN, and one " +
      "network namespace alone Linux 5.15.",
    group: "Connecting again",
    commands: ["hup", "follow"],
  },
  {
    name: "redirect",
    value: "ADDRESS[:PORT]",
    thenTime: true,
    help: "have connect(2) to it go to this address instead, until interrupted or for a TIME that follows",
    more:
      "As --refuse, for clients that never resolve a name again: --redirect 10.0.0.6, --redirect 10.0.0.6:5433 10m, " +
      "--redirect [2001:db8::6]:5432. The TIME needs its unit, so that it cannot be taken for PORT. Without a port, each " +
      "keeps its own. Of IPv4 and IPv6, connects stay what they are: where both are selected, give the flag once for " +
      "each, or -4 or -6. To the client, and to tcphup ls, the peer is the new address. Of several that are in force, " +
      "the innermost group's is first, then the one that was attached first. In follow, --redirect live: what has left, to " +
      "an address that is live, for as long as it is out.",
    group: "Connecting again",
    commands: ["hup", "follow"],
  },
  {
    name: "rate",
    value: "N/s",
    help: "cut at most N per second; N/m is per minute, N/h per hour",
    more:
      "Connections that appear meanwhile are left alone, since they are probably the clients' new ones; --for cuts them " +
      "too. The same holds for --over and --when-idle.",
    group: "Pacing",
    commands: ["hup", "follow"],
  },
  {
    name: "over",
    value: "TIME",
    bare: ["s"],
    help: "spread the cuts evenly over this time",
    group: "Pacing",
    commands: ["hup", "follow"],
  },
  {
    name: "jitter",
    value: "PERCENT",
    help: "move each cut at random by up to this share of the time between two, default 50",
    more: "0 keeps them regular. With 100 each moment is equally likely.",
    group: "Pacing",
    commands: ["hup", "follow"],
  },
  {
    name: "when-idle",
    value: "TIME",
    bare: ["ms", "s"],
    help: "cut each once nothing is in flight and no data has moved for this long",
    more:
      "Requests under way are finished, and connections are cut between them. A request that takes longer to answer than " +
      "this looks like a pause: give a time longer than answers take. At the client's end, a request that begins at " +
      "the moment of the cut either fails with EPIPE before it is sent, or goes out before the FIN and its answer can be " +
      "read, if the server answers a client that has sent a FIN (nginx as a proxy does only with " +
      "proxy_ignore_client_abort on). At the server's end such a request may be on its way and lost: cut at the " +
      "client's end where you can.",
    group: "Pacing",
    commands: ["hup", "follow"],
  },
  {
    name: "deadline",
    value: "TIME",
    bare: ["s"],
    help: "with --when-idle: after this time, cut what was never idle, default 30 s",
    group: "Pacing",
    commands: ["hup", "follow"],
  },
  {
    name: "leave-busy",
    help: "with --when-idle: leave alone what was never idle, and report it",
    group: "Pacing",
    commands: ["hup", "follow"],
  },
  {
    name: "for",
    value: "TIME",
    bare: ["s"],
    help: "go on for this long, and cut connections that appear meanwhile too",
    more: "For clients that still resolve the old address and connect to it again.",
    group: "Pacing",
    commands: ["hup"],
  },
  {
    name: "every",
    value: "TIME",
    bare: ["ms", "s"],
    help: "how often to look: with --for, default 500 ms; in follow, default 5 s",
    more: "follow looks so often for the live addresses; with --live-file, 500 ms unless said.",
    group: "Pacing",
    commands: ["hup", "follow"],
  },
  {
    name: "summary",
    help: "count them by destination and process, the largest group first",
    more:
      "Also how many carried no data in either direction for 60 s or longer, how many have SO_KEEPALIVE off, and how " +
      "many bytes wait in their queues. Of connections that this host accepted, the destination is the local end.",
    group: "Listing",
    commands: ["ls"],
  },
  {
    name: "columns",
    value: "A,B,...",
    help: "show these columns; +A,B,... adds to the usual ones",
    group: "Listing",
    commands: ["ls"],
  },
  {
    name: "sort",
    value: "COLUMN",
    signed: true,
    help: "sort by a column; -COLUMN puts the greatest first",
    group: "Listing",
    commands: ["ls"],
  },
  {
    name: "keepalive",
    short: "k",
    help: "show their keepalive, and how long it takes to notice a dead peer",
    more:
      "It is read through a duplicate of an owner's descriptor, which takes the same rights as hanging up, or by a BPF " +
      "program, which takes CAP_BPF and CAP_PERFMON.",
    group: "Listing",
    commands: ["ls"],
  },
  {
    name: "pinned",
    help: "show what --pin keeps in force, with the numbers of connections by destination",
    more: "Instead of connections, so without DEST and selection flags. It takes CAP_SYS_ADMIN.",
    group: "Listing",
    commands: ["ls"],
  },
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
    group: "Output",
    commands: ["ls", "keepalive"],
  },
  {
    name: "json-lines",
    help: "print one JSON object per line: a connection, a group of ls --summary, an event of follow",
    more: "With --watch, and of an event, each has the time when it was seen.",
    group: "Output",
    commands: ["ls", "keepalive", "follow"],
  },
  { name: "json", help: "print one JSON document", group: "Output", commands: reporting },
  {
    name: "quiet",
    short: "q",
    help: "print only errors, and JSON where it is asked for",
    group: "Output",
    commands: SELECTING,
  },
  {
    name: "verbose",
    short: "v",
    help: "show every owner with its descriptor, and where the time went",
    group: "Output",
    commands: SELECTING,
  },
  {
    name: "color",
    value: "WHEN",
    help: "print in color: auto (on a terminal), always or never",
    more: "auto prints no color where NO_COLOR is set or TERM is dumb.",
    group: "Output",
    commands: ["hup", "ls", "keepalive", "follow", "doctor"],
  },
  {
    name: "install",
    help: "install them for each shell, and the man page",
    more:
      "As root for all users, in /usr/local/share and /etc/fish; otherwise for you, in ~/.local/share, where man looks if " +
      "~/.local/bin is in PATH. The paths are printed. A file that is there and not tcphup's own is not replaced, and " +
      "then nothing is written.",
    group: "Output",
    commands: ["completions"],
  },
  {
    name: "help",
    short: "h",
    help: "show help; after a command, the help of that command",
    group: "Output",
    commands: COMMANDS,
  },
  { name: "version", short: "V", help: "show the version", group: "Output", commands: COMMANDS },
];
