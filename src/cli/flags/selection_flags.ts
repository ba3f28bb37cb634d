// The flags that select connections, as data. A flag is named as in ss(8) or the kernel where these have a name.

import { STATE_NAMES } from "../../model/tcp_states.ts";
import { type Command, type Flag, section } from "./flag.ts";

/** The commands that select connections. */
export const SELECTING: readonly Command[] = ["hup", "ls", "keepalive", "follow"];

const BY_SOCKET = section({ group: "Selection", commands: SELECTING, negatable: true }, [
  {
    name: "filter",
    short: "f",
    value: "TEXT",
    help: "matching a filter of ss(8): 'dst 10.0.0.0/8 and dport = :443'",
    more:
      "The whole language: dst, src, dport, sport, dev, fwmark, cgroup, autobound; and, or, not, parentheses; state " +
      "and exclude before them. As in ss, and does not bind tighter than or: use parentheses where you mix them.",
  },
  {
    name: "dst",
    value: "ADDR",
    help: "to this peer, written like DEST; repeat it for several",
    more: "A repeated flag is an alternative; different flags must all hold.",
  },
  { name: "src", value: "ADDR", help: "from this local address" },
  { name: "dport", value: "PORT", help: "to this port of the peer, written like PORT" },
  { name: "sport", value: "PORT", help: "from this local port" },
  {
    name: "dst-file",
    value: "FILE",
    help: "to one of the peers in a file, one per line; - is standard input",
    more:
      "Addresses, prefixes and host names; # begins a comment. They are alternatives to DEST and --dst. An empty file " +
      "selects nothing.",
  },
  {
    name: "state",
    value: "STATE",
    help: "in this state, as ss names it",
    more: `One of ${STATE_NAMES.join(", ")} (idiag_state). Listening sockets are never hung up on; time-wait needs ` +
      "--destroy.",
  },
  {
    name: "interface",
    value: "NAME",
    help: "bound to this network interface",
    more:
      "By SO_BINDTODEVICE, a VRF or a link-local address (idiag_if). Most connections are bound to none, whichever " +
      "interface their packets use.",
  },
  {
    name: "mark",
    value: "MARK[/MASK]",
    help: "with this mark (SO_MARK); needs CAP_NET_ADMIN",
    more: "The kernel shows marks (INET_DIAG_MARK) only to CAP_NET_ADMIN.",
  },
  {
    name: "user",
    value: "USER",
    help: "opened by this user, a name or number",
    more: "The user that opened the socket (idiag_uid), not the one that the process runs as now.",
  },
  {
    name: "not",
    help: "invert the selection flag that follows",
    more: "--not --dst A --not --user B leaves out connections to A, and those of B. Something else has to select " +
      "connections, such as the word any.",
    negatable: false,
  },
]);

const BY_OWNER = section({ group: "Selection by owner", commands: SELECTING, negatable: true }, [
  {
    name: "pid",
    value: "PID",
    help: "held by this process",
    more: "Any owner of a connection selects it. When several of these flags are given, one owner must match them all.",
  },
  { name: "children", help: "with --pid: or held by a descendant of it", negatable: false },
  {
    name: "comm",
    value: "GLOB",
    help: "held by a process of this name",
    more: "The first 15 bytes of its name (/proc/PID/comm). *, ? and [a-z] mean what they mean in a shell.",
  },
  {
    name: "exe",
    value: "GLOB",
    help: "held by a process that runs this program",
    more: "The whole path of /proc/PID/exe where GLOB has a slash, otherwise its last part. ** also matches slashes.",
  },
  {
    name: "cgroup",
    value: "CGROUP",
    help: "held by a process in this control group, or below it",
    more: "A path from the root or the mount of a hierarchy (/system.slice/nginx.service); a name (nginx.service, " +
      "user-*.slice); the UID of a Kubernetes pod; the id of a container. See /proc/PID/cgroup. Below a service, a scope or " +
      "a container, where its own processes may name things, only a path counts (/user.slice/**/app.service).",
  },
  {
    name: "container",
    value: "ID",
    help: "held by a process in this container",
    more:
      "Its id, or a unique prefix of it, as Docker, containerd, CRI-O and Podman use it to name the control group; also " +
      "with the runtime in front, as Kubernetes shows it (containerd://ID). The outermost counts: a container in a " +
      "container (kind, Docker in Docker) is selected from there, or with --cgroup and its path.",
  },
  {
    name: "missing-ok",
    help: "with --cgroup: a control group that does not exist selects nothing, and is no error",
    negatable: false,
  },
]);

const BY_NAMESPACE = section({ group: "Selection by namespace", commands: SELECTING, negatable: true }, [
  {
    name: "netns",
    value: "NETNS",
    help: "in this network namespace: a name of ip netns, a PID, a path, or all",
    more:
      "all is every namespace that a process is in (/proc/PID/ns/net) or that has a name in /run/netns. Owners are found " +
      "in any namespace. Entering one takes CAP_SYS_ADMIN; those that may not be entered are named, and the exit code is 1.",
  },
]);

const BY_HISTORY = section({ group: "Selection by history", commands: SELECTING, negatable: true }, [
  {
    name: "idle-for",
    value: "TIME",
    bare: ["s", "m"],
    help: "without data in either direction for this long, as in 5m",
    more:
      "The lesser of tcpi_last_data_sent and tcpi_last_data_recv. Retransmissions count as data, keepalive probes and " +
      "acknowledgements do not. For MPTCP, from Linux 6.10 on.",
  },
  {
    name: "silent-for",
    value: "TIME",
    bare: ["ms", "s"],
    help: "whose peer was not heard for this long, as in 2500ms: it seems dead, or is idle",
    more:
      "The lesser of tcpi_last_data_recv and tcpi_last_ack_recv: data, acknowledgements and answers to keepalive probes all " +
      "count. After an address has moved, it leaves alone what clients have just connected anew. For MPTCP, from Linux 6.10 on.",
  },
  {
    name: "stalled",
    help: "whose data is retransmitted and not acknowledged: the peer seems dead",
    more:
      "tcpi_unacked or idiag_wqueue is above 0, and tcpi_retransmits above 0 or tcpi_probes above 1 (a peer that is alive " +
      "but has no room answers window probes). A SYN counts too. MPTCP connections do not show it.",
  },
  {
    name: "close-wait",
    help: "closed by the peer but not by the application: often leaked",
    more: "The same as --state close-wait.",
  },
  {
    name: "no-keepalive",
    help: "with SO_KEEPALIVE off",
    more:
      "It is on where the keepalive timer runs (idiag_timer). Elsewhere getsockopt(2) tells, on a duplicate of an owner's " +
      "descriptor, which takes the same rights as hanging up. Where it cannot be read, the connection is not selected " +
      "and the exit code is 1.",
  },
  {
    name: "src-gone",
    help: "from an address that this host no longer has, such as a VIP that has moved",
    more:
      "idiag_src is not loopback, and in its network namespace neither an address of an interface (RTM_GETADDR) nor in " +
      "the routing table local (RTM_GETROUTE). Connections of transparent proxies (INET_DIAG_SOCKOPT) are left out.",
  },
]);

/** The selection flags, in the order of the help. */
export const SELECTION_FLAGS: readonly Flag[] = [...BY_SOCKET, ...BY_OWNER, ...BY_NAMESPACE, ...BY_HISTORY];
