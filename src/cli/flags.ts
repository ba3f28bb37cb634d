// The flags of the command line, as data: the parser and the help are made from this table.

/** A command of tcphup. */
export type Command = "hup" | "ls" | "doctor";

/** A flag. */
export interface Flag {
  /** The long name, without dashes. */
  readonly name: string;
  /** A single character that means the same. */
  readonly short?: string;
  /** What its value is called in the help; a flag without one is on or off. */
  readonly value?: string;
  /** One line of help. */
  readonly help: string;
  /** More of it, for a command's own help. */
  readonly more?: string;
  /** The heading it stands under. */
  readonly group: "Selection" | "Hanging up" | "Output";
  readonly commands: readonly Command[];
}

const all: readonly Command[] = ["hup", "ls", "doctor"];
const selecting: readonly Command[] = ["hup", "ls"];

/** Every flag, in the order of the help. */
export const FLAGS: readonly Flag[] = [
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
    help: "do not spare your own session: connections held by an ancestor of tcphup",
    group: "Selection",
    commands: ["hup"],
  },
  {
    name: "dry-run",
    short: "n",
    help: "show what would be done, touch nothing",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "linger",
    value: "MS",
    help: "how long an unanswered FIN may linger (TCP_USER_TIMEOUT), default 5000 ms",
    more:
      "Data that a slow but living peer has not acknowledged by then is lost. 0 leaves the socket's own setting, with " +
      "which a FIN to a dead peer stays for up to a quarter of an hour and holds its local port.",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "wait",
    value: "S",
    help: "wait up to S seconds until they are gone, report what lingers",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "destroy-after",
    value: "S",
    help: "hang up, wait S seconds, then abort what is left or has no owner",
    more: "Aborting sends a RST. It uses SOCK_DESTROY (CAP_NET_ADMIN, CONFIG_INET_DIAG_DESTROY) or, without that, " +
      "connect(AF_UNSPEC) on a duplicate of the owner's descriptor.",
    group: "Hanging up",
    commands: ["hup"],
  },
  {
    name: "destroy",
    help: "abort at once with a RST instead of hanging up",
    group: "Hanging up",
    commands: ["hup"],
  },
  { name: "json", help: "print one JSON document", group: "Output", commands: all },
  { name: "quiet", short: "q", help: "print nothing but errors", group: "Output", commands: selecting },
  {
    name: "verbose",
    short: "v",
    help: "name every owner with its descriptor, and where the time went",
    group: "Output",
    commands: selecting,
  },
  { name: "help", short: "h", help: "show help; after a command, that command's", group: "Output", commands: all },
  { name: "version", help: "show the version", group: "Output", commands: all },
];
