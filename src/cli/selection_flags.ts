// The flags that select connections, as data. Their names are those of ss(8) and of the kernel where it has one.

import { STATE_NAMES } from "../selection/state_names.ts";
import type { Command, Flag } from "./flag.ts";

const selecting: readonly Command[] = ["hup", "ls", "keepalive"];

type Criterion = Omit<Flag, "commands" | "negatable">;

const CRITERIA: readonly Criterion[] = [
  {
    name: "filter",
    short: "f",
    value: "TEXT",
    help: "what a filter of ss(8) says: 'dst 10.0.0.0/8 and dport = :443'",
    more:
      "The whole language: dst, src, dport, sport, dev, fwmark, cgroup, autobound; and, or, not, parentheses; state " +
      "and exclude before them. As in ss, what stands further left binds first, so mix and with or in parentheses.",
    group: "Selection",
  },
  {
    name: "dst",
    value: "ADDR",
    help: "to this peer: what DEST may be; given again, or to another",
    more: "Repeated flags of one kind are alternatives, flags of different kinds must all hold.",
    group: "Selection",
  },
  { name: "src", value: "ADDR", help: "from this address of the host", group: "Selection" },
  { name: "dport", value: "PORT", help: "to this port of the peer: what PORT may be", group: "Selection" },
  { name: "sport", value: "PORT", help: "from this port of the host", group: "Selection" },
  {
    name: "dst-file",
    value: "FILE",
    help: "to one of the peers in a file, one a line; - is standard input",
    more:
      "Addresses, prefixes and host names; # begins a comment. They are alternatives to DEST and --dst. A file without " +
      "any selects nothing.",
    group: "Selection",
  },
  {
    name: "state",
    value: "STATE",
    help: "in this state, as ss names it",
    more: `One of ${STATE_NAMES.join(", ")} (idiag_state). Listening sockets are never hung up on; time-wait takes ` +
      "--destroy.",
    group: "Selection",
  },
  {
    name: "interface",
    value: "NAME",
    help: "bound to this network interface",
    more:
      "By SO_BINDTODEVICE, a VRF or a link-local address (idiag_if). Most connections are bound to none, whichever " +
      "way their packets take.",
    group: "Selection",
  },
  {
    name: "mark",
    value: "MARK[/MASK]",
    help: "with this SO_MARK; needs CAP_NET_ADMIN",
    more: "INET_DIAG_MARK, which the kernel shows to CAP_NET_ADMIN only.",
    group: "Selection",
  },
  {
    name: "user",
    value: "USER",
    help: "of this user, by name or number",
    more: "The user that opened the socket (idiag_uid), not the one that the process runs as now.",
    group: "Selection",
  },
  {
    name: "pid",
    value: "PID",
    help: "held by this process",
    more:
      "By it among others: a connection is selected by any of its holders. All that is said of a process must hold for " +
      "one and the same.",
    group: "Selection by holder",
  },
  {
    name: "comm",
    value: "GLOB",
    help: "held by a process of this name",
    more: "/proc/PID/comm, of which the kernel keeps 15 bytes. * ? and [a-z] are as in a shell.",
    group: "Selection by holder",
  },
  {
    name: "exe",
    value: "GLOB",
    help: "held by a process that runs this program",
    more:
      "/proc/PID/exe: the whole path where the pattern has a slash, else its last part. ** also stands for slashes.",
    group: "Selection by holder",
  },
  {
    name: "cgroup",
    value: "CGROUP",
    help: "held by a process in this control group, or below it",
    more:
      "/proc/PID/cgroup, in whichever hierarchy: a path from its root or from its mount (/system.slice/nginx.service); " +
      "a name at any depth (nginx.service, user-*.slice); the UID of a Kubernetes pod; the id of a container.",
    group: "Selection by holder",
  },
  {
    name: "container",
    value: "ID",
    help: "held by a process in this container",
    more:
      "The id, or as much of its start as no other one has, as Docker, containerd, CRI-O and Podman put it in the name " +
      "of the control group, or with the runtime in front as Kubernetes shows it (containerd://ID).",
    group: "Selection by holder",
  },
  {
    name: "netns",
    value: "NETNS",
    help: "in this network namespace: a name of ip netns, a PID, a path, or all",
    more:
      "all is every namespace that a process lives in (/proc/PID/ns/net) or that has a name in /run/netns, each once. A " +
      "holder is found wherever it lives. Entering takes CAP_SYS_ADMIN: what may not be entered is named, exit 1.",
    group: "Selection by namespace",
  },
  {
    name: "idle-for",
    value: "TIME",
    bare: ["s", "m"],
    help: "no data either way for so long, as in 5m",
    more:
      "The lesser of tcpi_last_data_sent and tcpi_last_data_recv. Keepalive probes and acknowledgements are no data, " +
      "retransmissions are. Of MPTCP from Linux 6.10 on.",
    group: "Selection by history",
  },
  {
    name: "stalled",
    help: "what was sent is not acknowledged, and is being sent again: a dead peer",
    more:
      "tcpi_unacked or idiag_wqueue above 0, and tcpi_retransmits above 0, or above 1 tcpi_probes: a peer that is alive " +
      "but has no room answers window probes. A SYN counts too. MPTCP does not say it.",
    group: "Selection by history",
  },
  {
    name: "close-wait",
    help: "the peer has ended it, the application has not: often leaked",
    more: "idiag_state is TCP_CLOSE_WAIT.",
    group: "Selection by history",
  },
  {
    name: "no-keepalive",
    help: "SO_KEEPALIVE is off",
    more:
      "Where idiag_timer is the keepalive timer it is on; else getsockopt(2) is asked on a duplicate of the holder's " +
      "descriptor, which takes the same rights as hanging up. What cannot be asked is not selected, exit 1.",
    group: "Selection by history",
  },
  {
    name: "src-gone",
    help: "from an address that is no longer this host's: a VIP that moved away",
    more:
      "idiag_src is neither an address of an interface (RTM_GETADDR) nor in the routing table local (RTM_GETROUTE) of its " +
      "network namespace, and not loopback. A transparent proxy's connections (INET_DIAG_SOCKOPT) are left out.",
    group: "Selection by history",
  },
];

const criteria: readonly Flag[] = CRITERIA.map((criterion) => ({ ...criterion, commands: selecting, negatable: true }));

function withName(name: string): Flag {
  return criteria.find((flag) => flag.name === name)!;
}

const CHILDREN: Flag = {
  name: "children",
  help: "with --pid: or by a descendant of it",
  group: "Selection by holder",
  commands: selecting,
};

const MISSING_OK: Flag = {
  name: "missing-ok",
  help: "with --cgroup: one that this host does not have selects nothing, and is no error",
  group: "Selection by holder",
  commands: selecting,
};

const NOT: Flag = {
  name: "not",
  help: "leave out what the selection flag after it says",
  more:
    "--not --dst A --not --user B leaves out what is to A and what is of B. Something must be selected first: any, at " +
    "the least.",
  group: "Selection",
  commands: selecting,
};

/** All of them, in the order of the help. */
export const SELECTION_FLAGS: readonly Flag[] = [
  ...criteria.filter(({ group }) => group === "Selection"),
  NOT,
  withName("pid"),
  CHILDREN,
  ...criteria.filter(({ group, name }) => group === "Selection by holder" && name !== "pid"),
  MISSING_OK,
  ...criteria.filter(({ group }) => group !== "Selection" && group !== "Selection by holder"),
];
