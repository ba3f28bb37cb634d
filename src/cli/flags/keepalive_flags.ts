// The flags of keepalive: its values, how they are set on new connections, how programs are started with them, and how they
// are planned.

import { type Command, type Flag, section } from "./flag.ts";

/** The commands that take keepalive values. */
const valued: readonly Command[] = ["keepalive", "run", "plan"];

const VALUES = section({ group: "Values", commands: valued, signed: true }, [
  {
    name: "idle",
    value: "TIME",
    bare: ["s"],
    help: "silence of the peer before the first probe, default 15 s",
    more: "1 to 32767 s. Here, as in all values, 0 leaves what the socket has.",
  },
  {
    name: "interval",
    value: "TIME",
    bare: ["s"],
    help: "time between unanswered probes, default 15 s",
    more: "1 to 32767 s.",
  },
  {
    name: "count",
    value: "N",
    help: "unanswered probes after which the connection is dropped, default 9",
    more: "1 to 127.",
  },
  {
    name: "user-timeout",
    value: "TIME",
    bare: ["ms", "s"],
    help: "how long data or a probe may stay unanswered (TCP_USER_TIMEOUT), default auto",
    more:
      "A time, or auto: idle + interval x count, which is when the count is reached too. Where it is set, the kernel " +
      "goes by it and not by the count. Without it, data in flight is retried for a quarter of an hour.",
  },
  {
    name: "syncnt",
    value: "N",
    help: "how many times a SYN is sent again before connecting fails",
    more: "1 to 127. It affects connections that are being opened.",
  },
  {
    name: "maxseg",
    value: "BYTES",
    help: "the largest segment (TCP_MAXSEG)",
    more: "88 to 32767. It affects connections that are being opened or, through listeners, accepted.",
  },
  { name: "window-clamp", value: "BYTES", help: "the largest window to advertise (TCP_WINDOW_CLAMP)" },
  {
    name: "defer-accept",
    value: "TIME",
    bare: ["s"],
    help: "how long a listener waits for data before waking its application",
    more: "The kernel rounds up to 1, 3, 7, 15 s and so on.",
  },
  {
    name: "off",
    help: "turn SO_KEEPALIVE off instead, and leave the other values, the user timeout too",
    signed: false,
    commands: ["keepalive"],
  },
]);

const ATTACHING = section({ group: "Attaching", commands: ["keepalive"] }, [
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
      "and CAP_NET_ADMIN; --user also CAP_PERFMON, --netns Linux 5.15, and --only-missing, --maxseg and --window-clamp " +
      "Linux 6.1.",
  },
  { name: "outgoing", help: "with --attach: only connections that this host opens, not those that it accepts" },
  {
    name: "only-new",
    help: "with --attach: leave alone the connections that are open already",
    more:
      "These take other rights: CAP_SYS_PTRACE or CAP_PERFMON, CAP_SYS_ADMIN for other network namespaces, and the PID " +
      "namespace of the host. Without --only-new, each that cannot be set is named.",
  },
  {
    name: "pin",
    value: "NAME",
    help: "end at once, and leave what --attach, --refuse or --redirect does in force until tcphup unpin NAME",
    more:
      "In keepalive it implies --attach. It needs a bpffs (mount -t bpf bpf /sys/fs/bpf), and one control group. Where the " +
      "same is pinned under that name, only what is open is seen to. A pin lasts until the next boot; tcphup ls --pinned " +
      "shows it.",
    commands: ["hup", "keepalive"],
  },
]);

const LAUNCHING = section({ group: "Launching", commands: ["run"] }, [
  {
    name: "on",
    value: "CALLS",
    help: "the calls at which a socket gets the values: connect,listen (the default), socket",
    more:
      "A socket has the values before the call proceeds. With socket, tcphup creates the socket for the program, which " +
      "receives it with the values set. Other calls than the default take a supervisor.",
  },
  {
    name: "debug",
    help: "print to standard error who sets the values, why, and what could not be set (LIBKEEPALIVE_DEBUG)",
  },
]);

const PLANNING = section({ group: "Planning", commands: ["plan"] }, [
  {
    name: "within",
    value: "TIME",
    bare: ["s"],
    help: "find the cheapest values that notice a dead peer within this time",
    group: "Values",
  },
  { name: "services", value: "N", help: "connections that each host keeps open, default 3" },
  { name: "hosts", value: "N", help: "number of hosts, default 1" },
  { name: "probe-bytes", value: "N", help: "size of a probe on the wire, default 64, the smallest Ethernet frame" },
  {
    name: "emit",
    value: "FORMAT",
    help: "print the values as configuration",
    more: "A comment names the values that the format cannot express.",
    group: "Output",
  },
]);

export const KEEPALIVE_FLAGS: readonly Flag[] = [...VALUES, ...ATTACHING, ...LAUNCHING, ...PLANNING];
