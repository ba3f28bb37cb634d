// The manual of each command, of which the help and the man page are made.

import { columnsHelp } from "../output/columns.ts";
import type { Command } from "./flag.ts";

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

Hang up once the address has moved, and once only: what clients connect anew is left alone. A
connect attempt (SYN-SENT) whose next SYN goes within 3 s is left to it. The host to which the
address has moved answers that, while the application that waits would have an error. Attempts that
would wait longer are ended. All are ended with --refuse, --redirect, --for, --destroy,
--destroy-after, --stalled, and where --state or --filter names states.

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
connections to addresses that it has left, also on those that are opened later, and ends attempts to
connect to them. It runs until it is interrupted.

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
    text: `Every TCP socket of COMMAND and of all that it starts gets the values when it connects, and when it
begins to listen, in static programs and those written in Go too. COMMAND takes the place of tcphup:
the same process and parent, its own exit status. What it sets itself later stays. Inside of another
run, the inner values count.

With CAP_BPF, CAP_NET_ADMIN and a cgroup v2 that can be written to, COMMAND runs in a control group
inside of that of tcphup, and a BPF program there sets the values: nothing runs beside COMMAND, and
no call waits. That program sets what is opened in the group. It misses what leaves the group, as
sudo, systemd-run and container runtimes may, and sockets that COMMAND is given. MPTCP sockets do
not show the values, but their subflows have them. An empty group is removed by the next run there.

Otherwise a supervisor sets the values, before connect(2) or listen(2) proceeds (seccomp user
notification). It does not see sockets made through io_uring. A supervisor also serves where the
group of tcphup has limits of memory or CPU time, which programs look for in their own group, where
it is delegated or gives inner groups shares of their own, where a seccomp filter is in force, and
with --defer-accept.

Values come from the flags, otherwise from libkeepalive's variables (TCP_KEEPIDLE, TCP_KEEPINTVL,
TCP_KEEPCNT, TCP_USER_TIMEOUT, TCP_SYNCNT, TCP_MAXSEG, TCP_WINDOW_CLAMP, TCP_DEFER_ACCEPT),
otherwise from the defaults.

The default of --on is connect,listen; where Yama forbids these, socket. With socket, a process
makes its sockets itself, without the values, when it is in another control group than tcphup or,
without CAP_SYS_PTRACE, when it may not be looked into.

With a supervisor, a signal whose handler lacks SA_RESTART makes connect or listen, with --on socket
also socket, fail with EINTR when it arrives before the supervisor takes up the call (microseconds,
more on a busy host). The call has not run then: a program that takes it for a connect under way is
not connected.

A unit that restricts system calls has a supervisor, and needs SystemCallFilter=seccomp pidfd_getfd
(with --on socket, only seccomp). A unit may set neither LimitFSIZE=0 nor MemoryDenyWriteExecute=yes,
with which the runtime ends with "Fatal error". The compiled program ends with 101 where an argument
is not UTF-8.`,
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
