// The flags of hanging up: how, what becomes of connecting again, and at which pace.

import { type Command, type Flag, section } from "./flag.ts";

/** The commands that hang up. */
const hangingUp: readonly Command[] = ["hup", "follow"];

const HANGING_UP = section({ group: "Hanging up", commands: hangingUp }, [
  {
    name: "linger",
    value: "TIME",
    bare: ["ms", "s"],
    help: "how long an unanswered FIN may linger (TCP_USER_TIMEOUT), default 5 s",
    more:
      "Data that a slow but living peer has not acknowledged by then is lost. 0 leaves the socket's own setting, with " +
      "which a FIN to a dead peer lingers for up to a quarter of an hour and holds the local port.",
  },
  {
    name: "fin-only",
    help: "shut down only sending: the application reads on until the peer closes too",
    more:
      "TCP_USER_TIMEOUT (--linger) bounds the time until the peer has acknowledged the FIN. After that the connection " +
      "stays in FIN-WAIT-2 until the peer or the application closes it, or until --destroy-after. Some peers, nginx " +
      "for one, take a FIN for the end of both directions and break off their answer.",
  },
  {
    name: "wait",
    value: "TIME",
    bare: ["s"],
    help: "wait up to this long until all are gone, and report what lingers",
    commands: ["hup"],
  },
  {
    name: "verify",
    help: "look again at the end, and report what lingers (exit 1)",
    more:
      "It waits until all are gone, for as long as --wait says or, without it, a second longer than --linger. While hup " +
      "waits, it takes away the error with which a connection to a dead host ends, so that its application reads " +
      "end-of-file however late it looks.",
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
  },
  { name: "destroy", help: "destroy at once with a RST instead of hanging up" },
]);

const CONNECTING_AGAIN = section({ group: "Connecting again", commands: hangingUp }, [
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
      "as long as it is out. It takes cgroup v2, CAP_BPF and CAP_NET_ADMIN.",
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
  },
]);

const PACING = section({ group: "Pacing", commands: hangingUp }, [
  {
    name: "rate",
    value: "N/s",
    help: "cut at most N per second; N/m is per minute, N/h per hour",
    more:
      "Connections that appear meanwhile are left alone, since they are probably the clients' new ones; --for cuts them " +
      "too. The same holds for --over and --when-idle.",
  },
  { name: "over", value: "TIME", bare: ["s"], help: "spread the cuts evenly over this time" },
  {
    name: "jitter",
    value: "PERCENT",
    help: "move each cut at random by up to this share of the time between two, default 50",
    more: "0 keeps them regular. With 100 each moment is equally likely.",
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
  },
  {
    name: "deadline",
    value: "TIME",
    bare: ["s"],
    help: "with --when-idle: after this time, cut what was never idle, default 30 s",
  },
  { name: "leave-busy", help: "with --when-idle: leave alone what was never idle, and report it" },
  {
    name: "for",
    value: "TIME",
    bare: ["s"],
    help: "go on for this long, and cut connections that appear meanwhile too",
    more: "For clients that still resolve the old address and connect to it again.",
    commands: ["hup"],
  },
  {
    name: "every",
    value: "TIME",
    bare: ["ms", "s"],
    help: "how often to look: with --for, default 500 ms; in follow, default 5 s",
    more: "follow looks so often for the live addresses; with --live-file, 500 ms unless said.",
  },
]);

export const HANG_UP_FLAGS: readonly Flag[] = [...HANGING_UP, ...CONNECTING_AGAIN, ...PACING];
