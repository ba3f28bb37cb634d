#!/usr/bin/python
# MIT License, see LICENSE.txt of tcphup.
"""Runs tcphup and makes of its report what a playbook expects: changed, failed with the reason, a diff."""

DOCUMENTATION = r"""
---
module: tcphup
short_description: Hang up on TCP connections, or set their keepalive, from outside the programs that hold them
description:
  - Runs the program C(tcphup), which the role of the same name copies to the host.
  - An option of this module is the flag of that name, with underscores for dashes. Where a flag may be given several
    times, its option may be a list.
  - In check mode nothing is touched (C(--dry-run)), and C(changed) says whether something would be.
author: The authors of tcphup (@tcphup)
attributes:
  check_mode:
    description: Nothing is touched, and C(changed) says whether something would be.
    support: full
  diff_mode:
    description: The settings of each connection before and after.
    support: partial
    details: With I(command=keepalive).
options:
  command:
    description: C(hup) hangs up, C(keepalive) sets keepalive, C(ls) shows connections and touches nothing.
    type: str
    choices: [hup, ls, keepalive]
    default: hup
  dest:
    description: The peer, as in C(tcphup DEST PORT). An address, a prefix, a host name, or C(any).
    type: str
  port:
    description: The peer's port. A number, a range, a service name, or C(any), which it is unless said.
    type: raw
  executable:
    description: Where the program is, when it is not found in the path.
    type: path
  connections:
    description:
      - How many connections to return at most, with what became of each. Those that failed come first.
      - A host may have thousands of them, of some 500 bytes each.
    type: int
    default: 0
  # deno task docs: options
  filter:
    description:
      - "Matching a filter of ss(8): 'dst 10.0.0.0/8 and dport = :443'."
      - "The whole language: dst, src, dport, sport, dev, fwmark, cgroup, autobound; and, or, not, parentheses; state and exclude before them. As in ss, and does not bind tighter than or: use parentheses where you mix them."
    type: raw
  dst:
    description:
      - "To this peer, written like DEST; repeat it for several."
      - "A repeated flag is an alternative; different flags must all hold."
    type: raw
  src:
    description:
      - "From this local address."
    type: raw
  dport:
    description:
      - "To this port of the peer, written like PORT."
    type: raw
  sport:
    description:
      - "From this local port."
    type: raw
  dst_file:
    description:
      - "To one of the peers in a file, one per line; - is standard input."
      - "Addresses, prefixes and host names; # begins a comment. They are alternatives to DEST and --dst. An empty file selects nothing."
    type: raw
  state:
    description:
      - "In this state, as ss names it."
      - "One of established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, last-ack, listening, closing, bound-inactive, all, connected, synchronized, bucket, big (idiag_state). Listening sockets are never hung up on; time-wait needs --destroy."
    type: raw
  interface:
    description:
      - "Bound to this network interface."
      - "By SO_BINDTODEVICE, a VRF or a link-local address (idiag_if). Most connections are bound to none, whichever interface their packets use."
    type: raw
  mark:
    description:
      - "With this mark (SO_MARK); needs CAP_NET_ADMIN."
      - "The kernel shows marks (INET_DIAG_MARK) only to CAP_NET_ADMIN."
    type: raw
  user:
    description:
      - "Opened by this user, a name or number."
      - "The user that opened the socket (idiag_uid), not the one that the process runs as now."
    type: raw
  pid:
    description:
      - "Held by this process."
      - "Any owner of a connection selects it. When several of these flags are given, one owner must match them all."
    type: raw
  children:
    description:
      - "With --pid: or held by a descendant of it."
    type: bool
    default: false
  comm:
    description:
      - "Held by a process of this name."
      - "The first 15 bytes of its name (/proc/PID/comm). *, ? and [a-z] mean what they mean in a shell."
    type: raw
  exe:
    description:
      - "Held by a process that runs this program."
      - "The whole path of /proc/PID/exe where GLOB has a slash, otherwise its last part. ** also matches slashes."
    type: raw
  cgroup:
    description:
      - "Held by a process in this control group, or below it."
      - "A path from the root or the mount of a hierarchy (/system.slice/nginx.service); a name (nginx.service, user-*.slice); the UID of a Kubernetes pod; the id of a container. See /proc/PID/cgroup. Below a service, a scope or a container, where its own processes may name things, only a path counts (/user.slice/**/app.service)."
    type: raw
  container:
    description:
      - "Held by a process in this container."
      - "Its id, or a unique prefix of it, as Docker, containerd, CRI-O and Podman use it to name the control group; also with the runtime in front, as Kubernetes shows it (containerd://ID). The outermost counts: a container in a container (kind, Docker in Docker) is selected from there, or with --cgroup and its path."
    type: raw
  missing_ok:
    description:
      - "With --cgroup: a control group that does not exist selects nothing, and is no error."
    type: bool
    default: false
  netns:
    description:
      - "In this network namespace: a name of ip netns, a PID, a path, or all."
      - "All is every namespace that a process is in (/proc/PID/ns/net) or that has a name in /run/netns. Owners are found in any namespace. Entering one takes CAP_SYS_ADMIN; those that may not be entered are named, and the exit code is 1."
    type: raw
  idle_for:
    description:
      - "Without data in either direction for this long, as in 5m."
      - "The lesser of tcpi_last_data_sent and tcpi_last_data_recv. Retransmissions count as data, keepalive probes and acknowledgements do not. For MPTCP, from Linux 6.10 on."
    type: raw
  silent_for:
    description:
      - "Whose peer was not heard for this long, as in 2500ms: it seems dead, or is idle."
      - "The lesser of tcpi_last_data_recv and tcpi_last_ack_recv: data, acknowledgements and answers to keepalive probes all count. After an address has moved, it leaves alone what clients have just connected anew. For MPTCP, from Linux 6.10 on."
    type: raw
  stalled:
    description:
      - "Whose data is retransmitted and not acknowledged: the peer seems dead."
      - "Tcpi_unacked or idiag_wqueue is above 0, and tcpi_retransmits above 0 or tcpi_probes above 1 (a peer that is alive but has no room answers window probes). A SYN counts too. MPTCP connections do not show it."
    type: bool
    default: false
  close_wait:
    description:
      - "Closed by the peer but not by the application: often leaked."
      - "The same as --state close-wait."
    type: bool
    default: false
  no_keepalive:
    description:
      - "With SO_KEEPALIVE off."
      - "It is on where the keepalive timer runs (idiag_timer). Elsewhere getsockopt(2) tells, on a duplicate of an owner's descriptor, which takes the same rights as hanging up. Where it cannot be read, the connection is not selected and the exit code is 1."
    type: bool
    default: false
  src_gone:
    description:
      - "From an address that this host no longer has, such as a VIP that has moved."
      - "Idiag_src is not loopback, and in its network namespace neither an address of an interface (RTM_GETADDR) nor in the routing table local (RTM_GETROUTE). Connections of transparent proxies (INET_DIAG_SOCKOPT) are left out."
    type: bool
    default: false
  ipv4:
    description:
      - "Only connections over IPv4, also IPv4-mapped ones."
    type: bool
    default: false
  ipv6:
    description:
      - "Only connections over IPv6."
    type: bool
    default: false
  include_session:
    description:
      - "Do not skip your own session, such as your ssh connection."
      - "Hup skips the connection that SSH_CONNECTION names, those that an ancestor of tcphup has accepted, and all of the processes that serve its terminal, or the terminals attached to its tmux or screen. keepalive and ls skip nothing."
    type: bool
    default: false
  listeners:
    description:
      - "Also listening sockets: what they accept from then on inherits the values."
      - "A listener has no peer, so DEST is any. The other selection flags (local address and port, process, network namespace) select listeners as they select connections. With --attach, listeners are left alone, and only what they accept gets the values."
      - "With I(command=keepalive)."
    type: bool
    default: false
  idle:
    description:
      - "Silence of the peer before the first probe, default 15 s."
      - "1 to 32767 s. Here, as in all values, 0 leaves what the socket has."
      - "With I(command=keepalive)."
    type: raw
  interval:
    description:
      - "Time between unanswered probes, default 15 s."
      - "1 to 32767 s."
      - "With I(command=keepalive)."
    type: raw
  count:
    description:
      - "Unanswered probes after which the connection is dropped, default 9."
      - "1 to 127."
      - "With I(command=keepalive)."
    type: raw
  user_timeout:
    description:
      - "How long data or a probe may stay unanswered (TCP_USER_TIMEOUT), default auto."
      - "A time, or auto: idle + interval x count, which is when the count is reached too. Where it is set, the kernel goes by it and not by the count. Without it, data in flight is retried for a quarter of an hour."
      - "With I(command=keepalive)."
    type: raw
  syncnt:
    description:
      - "How many times a SYN is sent again before connecting fails."
      - "1 to 127. It affects connections that are being opened."
      - "With I(command=keepalive)."
    type: raw
  maxseg:
    description:
      - "The largest segment (TCP_MAXSEG)."
      - "88 to 32767. It affects connections that are being opened or, through listeners, accepted."
      - "With I(command=keepalive)."
    type: raw
  window_clamp:
    description:
      - "The largest window to advertise (TCP_WINDOW_CLAMP)."
      - "With I(command=keepalive)."
    type: raw
  defer_accept:
    description:
      - "How long a listener waits for data before waking its application."
      - "The kernel rounds up to 1, 3, 7, 15 s and so on."
      - "With I(command=keepalive)."
    type: raw
  turn_off:
    description:
      - "Turn SO_KEEPALIVE off instead, and leave the other values, the user timeout too."
      - "With I(command=keepalive)."
    type: bool
    default: false
  outgoing:
    description:
      - "With --attach: only connections that this host opens, not those that it accepts."
      - "With I(command=keepalive)."
    type: bool
    default: false
  only_new:
    description:
      - "With --attach: leave alone the connections that are open already."
      - "These take other rights: CAP_SYS_PTRACE or CAP_PERFMON, CAP_SYS_ADMIN for other network namespaces, and the PID namespace of the host. Without --only-new, each that cannot be set is named."
      - "With I(command=keepalive)."
    type: bool
    default: false
  pin:
    description:
      - "End at once, and leave what --attach, --refuse or --redirect does in force until tcphup unpin NAME."
      - "In keepalive it implies --attach. It needs a bpffs (mount -t bpf bpf /sys/fs/bpf), and one control group. Where the same is pinned under that name, only what is open is seen to. A pin lasts until the next boot; tcphup ls --pinned shows it."
      - "With I(command=hup), I(command=keepalive)."
    type: raw
  no_bpf:
    description:
      - "Load no BPF program: find holders in /proc, set keepalive through duplicates, run with a supervisor."
      - "Where CAP_BPF and CAP_PERFMON allow that, BPF programs that run once find holders on hosts with many open descriptors, and read and set the keepalive of many connections, or of connections without a holder. --verbose says which way was taken, and why; with run, --debug does."
    type: bool
    default: false
  only_missing:
    description:
      - "Never override what an application has chosen."
      - "Where SO_KEEPALIVE is on, it is left as it is, whatever its values. Where it is off, it is turned on, but a TCP_USER_TIMEOUT that is set stays."
      - "With I(command=keepalive)."
    type: bool
    default: false
  max:
    description:
      - "Touch nothing when more than N match (exit 3)."
      - "Connections that appear meanwhile count too: those beyond N are left alone, and the exit code is 1."
      - "With I(command=hup)."
    type: raw
  linger:
    description:
      - "How long an unanswered FIN may linger (TCP_USER_TIMEOUT), default 5 s."
      - "Data that a slow but living peer has not acknowledged by then is lost. 0 leaves the socket's own setting, with which a FIN to a dead peer lingers for up to a quarter of an hour and holds the local port."
      - "With I(command=hup)."
    type: raw
  fin_only:
    description:
      - "Shut down only sending: the application reads on until the peer closes too."
      - "TCP_USER_TIMEOUT (--linger) bounds the time until the peer has acknowledged the FIN. After that the connection stays in FIN-WAIT-2 until the peer or the application closes it, or until --destroy-after. Some peers, nginx for one, take a FIN for the end of both directions and break off their answer."
      - "With I(command=hup)."
    type: bool
    default: false
  wait:
    description:
      - "Wait up to this long until all are gone, and report what lingers."
      - "With I(command=hup)."
    type: raw
  verify:
    description:
      - "Look again at the end, and report what lingers (exit 1)."
      - "It waits until all are gone, for as long as --wait says or, without it, a second longer than --linger. While hup waits, it takes away the error with which a connection to a dead host ends, so that its application reads end-of-file however late it looks."
      - "With I(command=hup)."
    type: bool
    default: false
  destroy_after:
    description:
      - "After this time, destroy what is still there, and what has no owner."
      - "Destroying sends a RST. It uses SOCK_DESTROY (CAP_NET_ADMIN, CONFIG_INET_DIAG_DESTROY) or, without that, connect(AF_UNSPEC) on a duplicate of an owner's descriptor. Without SOCK_DESTROY, nothing destroys a connection that its program has closed: hup warns before it begins when that could happen. Before Linux 6.11, SOCK_DESTROY would stop the timers of such a connection, so it is left alone."
      - "With I(command=hup)."
    type: raw
  destroy:
    description:
      - "Destroy at once with a RST instead of hanging up."
      - "With I(command=hup)."
    type: bool
    default: false
  refuse:
    description:
      - "Refuse connect(2) to it for this long, or until interrupted, so that clients try their next address."
      - "In the kernel (BPF), before anything is hung up on, so that no client connects to it again. connect(2) fails at once with ECONNREFUSED, before Linux 5.18 with EPERM. It concerns every program of this network namespace, or of those that --netns names; with --cgroup or --container, those in that group. The selection may go by DEST, PORT, --dst-file, --user, these, and --filter with the same. It ends with tcphup, however that ends. A time without a unit needs an equals sign: --refuse=60, but --refuse 10m. In follow it takes no time, and concerns what has left for as long as it is out. It takes cgroup v2, CAP_BPF and CAP_NET_ADMIN."
      - "With I(command=hup)."
    type: raw
  redirect:
    description:
      - "Have connect(2) to it go to this address instead, until interrupted or for a TIME that follows."
      - "As --refuse, for clients that never resolve a name again: --redirect 10.0.0.6, --redirect 10.0.0.6:5433 10m, --redirect [2001:db8::6]:5432. The TIME needs its unit, so that it cannot be taken for PORT. Without a port, each keeps its own. Of IPv4 and IPv6, connects stay what they are: where both are selected, give the flag once for each, or -4 or -6. To the client, and to tcphup ls, the peer is the new address. Of several that are in force, the innermost group's is first, then the one that was attached first. In follow, --redirect live: what has left, to an address that is live, for as long as it is out."
      - "With I(command=hup)."
    type: raw
  rate:
    description:
      - "Cut at most N per second; N/m is per minute, N/h per hour."
      - "Connections that appear meanwhile are left alone, since they are probably the clients' new ones; --for cuts them too. The same holds for --over and --when-idle."
      - "With I(command=hup)."
    type: raw
  over:
    description:
      - "Spread the cuts evenly over this time."
      - "With I(command=hup)."
    type: raw
  jitter:
    description:
      - "Move each cut at random by up to this share of the time between two, default 50."
      - "0 keeps them regular. With 100 each moment is equally likely."
      - "With I(command=hup)."
    type: raw
  when_idle:
    description:
      - "Cut each once nothing is in flight and no data has moved for this long."
      - "Requests under way are finished, and connections are cut between them. A request that takes longer to answer than this looks like a pause: give a time longer than answers take. At the client's end, a request that begins at the moment of the cut either fails with EPIPE before it is sent, or goes out before the FIN and its answer can be read, if the server answers a client that has sent a FIN (nginx as a proxy does only with proxy_ignore_client_abort on). At the server's end such a request may be on its way and lost: cut at the client's end where you can."
      - "With I(command=hup)."
    type: raw
  deadline:
    description:
      - "With --when-idle: after this time, cut what was never idle, default 30 s."
      - "With I(command=hup)."
    type: raw
  leave_busy:
    description:
      - "With --when-idle: leave alone what was never idle, and report it."
      - "With I(command=hup)."
    type: bool
    default: false
  for:
    description:
      - "Go on for this long, and cut connections that appear meanwhile too."
      - "For clients that still resolve the old address and connect to it again."
      - "With I(command=hup)."
    type: raw
  every:
    description:
      - "How often to look: with --for, default 500 ms; in follow, default 5 s."
      - "Follow looks so often for the live addresses; with --live-file, 500 ms unless said."
      - "With I(command=hup)."
    type: raw
  keepalive:
    description:
      - "Show their keepalive, and how long it takes to notice a dead peer."
      - "It is read through a duplicate of an owner's descriptor, which takes the same rights as hanging up, or by a BPF program, which takes CAP_BPF and CAP_PERFMON."
      - "With I(command=ls)."
    type: bool
    default: false
  # deno task docs: end
notes:
  - Needs the rights that tcphup needs on the host, so in general I(become=true).
  - A connection that carries Ansible's own session is left alone, as that of any operator is.
"""

EXAMPLES = r"""
- name: Hang up on the old primary, 50 connections a second, and abort what does not answer
  tcphup.tcphup.tcphup:
    dest: 192.0.2.10
    port: 5432
    rate: 50/s
    destroy_after: 10s

- name: Notice within 30 seconds when a peer is gone, except where the application has keepalive on
  tcphup.tcphup.tcphup:
    command: keepalive
    dest: any
    idle: 20
    interval: 5
    count: 2
    only_missing: true

- name: See who talks to two services
  tcphup.tcphup.tcphup:
    command: ls
    dst: [192.0.2.10, db.internal]
    state: established
    connections: 100
  register: clients
"""

RETURN = r"""
report:
  description: The document that C(tcphup --json) prints, without its connections. These are in C(connections).
  returned: unless tcphup refused before it selected anything
  type: dict
  sample: {schema: 1, command: hup, dry_run: false, matched: 1, hung_up: 1, failed: 0}
connections:
  description: At most I(connections) of the connections that C(tcphup --json) prints, with what became of each.
  returned: unless tcphup refused before it selected anything
  type: list
  elements: dict
  sample: [{state: ESTAB, dst: {address: 192.0.2.10, port: 5432}, outcome: hung-up, error: null}]
exit_code:
  description: The exit code of tcphup. The module fails when it is not 0.
  returned: always
  type: int
"""

import json
import re
from collections import Counter
from itertools import chain, islice

from ansible.module_utils.basic import AnsibleModule

# deno task docs: flags
SWITCHES = {
    "children": "--children",
    "missing_ok": "--missing-ok",
    "stalled": "--stalled",
    "close_wait": "--close-wait",
    "no_keepalive": "--no-keepalive",
    "src_gone": "--src-gone",
    "ipv4": "--ipv4",
    "ipv6": "--ipv6",
    "include_session": "--include-session",
    "listeners": "--listeners",
    "turn_off": "--off",
    "outgoing": "--outgoing",
    "only_new": "--only-new",
    "no_bpf": "--no-bpf",
    "only_missing": "--only-missing",
    "fin_only": "--fin-only",
    "verify": "--verify",
    "destroy": "--destroy",
    "leave_busy": "--leave-busy",
    "keepalive": "--keepalive",
}
VALUES = {
    "filter": "--filter",
    "dst": "--dst",
    "src": "--src",
    "dport": "--dport",
    "sport": "--sport",
    "dst_file": "--dst-file",
    "state": "--state",
    "interface": "--interface",
    "mark": "--mark",
    "user": "--user",
    "pid": "--pid",
    "comm": "--comm",
    "exe": "--exe",
    "cgroup": "--cgroup",
    "container": "--container",
    "netns": "--netns",
    "idle_for": "--idle-for",
    "silent_for": "--silent-for",
    "idle": "--idle",
    "interval": "--interval",
    "count": "--count",
    "user_timeout": "--user-timeout",
    "syncnt": "--syncnt",
    "maxseg": "--maxseg",
    "window_clamp": "--window-clamp",
    "defer_accept": "--defer-accept",
    "pin": "--pin",
    "max": "--max",
    "linger": "--linger",
    "wait": "--wait",
    "destroy_after": "--destroy-after",
    "refuse": "--refuse",
    "redirect": "--redirect",
    "rate": "--rate",
    "over": "--over",
    "jitter": "--jitter",
    "when_idle": "--when-idle",
    "deadline": "--deadline",
    "for": "--for",
    "every": "--every",
}
# deno task docs: end

CHANGES = {
    "hung-up", "destroyed", "lingering", "keepalive-set", "would-hang-up", "would-destroy", "would-set-keepalive",
}
FAILURES = {"no-owner", "denied", "unsupported", "lingering", "failed", "skipped"}
REASONS_SHOWN = 3


def find_program(module):
    """Where tcphup is on this host. Before the role has first run, check mode has none to ask."""
    wanted = module.params["executable"] or "tcphup"
    path = module.get_bin_path(wanted)
    if path is None and module.check_mode:
        module.exit_json(skipped=True, msg=f"There is no {wanted} on this host yet, which could say what it would do")
    if path is None:
        module.fail_json(msg=f"There is no {wanted} on this host: let the role tcphup copy it")
    return path


def command_line(module):
    """The words that tcphup is run with."""
    params = module.params
    words = [find_program(module), params["command"], "--json"]
    if module.check_mode and params["command"] != "ls":
        words.append("--dry-run")
    words += [flag for name, flag in SWITCHES.items() if params[name]]
    for name, flag in VALUES.items():
        value = params[name]
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            # A flag whose value is optional stands alone for true.
            words.append(flag if one is True else f"{flag}={one}")
    return words + ["--"] + [str(params[name]) for name in ("dest", "port") if params[name] is not None]


# What drives a terminal, or turns its text around: Ansible shows results as they are.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(value):
    """A part of a report, the names in it, which any user may have chosen, written as in tcphup's own tables."""
    if isinstance(value, dict):
        return {key: harmless(part) for key, part in value.items()}
    if isinstance(value, list):
        return [harmless(part) for part in value]
    if not isinstance(value, str):
        return value
    return UNSAFE.sub(lambda found: written_out(ord(found[0])), value)


def written_out(code):
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def first(count, failed, connections):
    """So many connections, those that failed before the others."""
    others = (connection for connection in connections if connection["outcome"] not in FAILURES)
    return list(islice(chain(failed, others), max(count, 0)))


def why(report, failed, exit_code):
    """What a report says of a failure, in one line."""
    counts = Counter((connection["outcome"], connection["error"]) for connection in failed)
    reasons = [f"{count} {outcome}: {error}" for (outcome, error), count in counts.most_common(REASONS_SHOWN)]
    if len(counts) > REASONS_SHOWN:
        reasons.append(f"and {len(counts) - REASONS_SHOWN} other reasons")
    reasons += [report["error"]] if report.get("error") else []
    reasons += report.get("unanswered", []) + report.get("unseen", [])
    return "; ".join(reasons) or f"tcphup exited with {exit_code}"


def diff_of(connections):
    """The settings of the connections whose keepalive differs, a line each."""
    changed = [connection for connection in connections if connection["outcome"] in CHANGES]
    lines = {
        side: "".join(f"{endpoints(connection)}: {settings(connection[side])}\n" for connection in changed)
        for side in ("before", "after")
    }
    return dict(lines, before_header="keepalive", after_header="keepalive")


def endpoints(connection):
    src, dst = connection["src"], connection["dst"]
    return f"{src['address']} port {src['port']} to {dst['address']} port {dst['port']}"


def settings(keepalive):
    if not keepalive["enabled"]:
        return "off" + user_timeout(keepalive)
    times = f"idle {keepalive['idle_s']} s, interval {keepalive['interval_s']} s, count {keepalive['count']}"
    return times + user_timeout(keepalive)


def user_timeout(keepalive):
    return f", user timeout {keepalive['user_timeout_ms']} ms" if keepalive["user_timeout_ms"] else ""


def main():
    spec = {
        "command": {"choices": ["hup", "ls", "keepalive"], "default": "hup"},
        "dest": {"type": "str"},
        "port": {"type": "raw"},
        "executable": {"type": "path"},
        "connections": {"type": "int", "default": 0},
    }
    spec.update((name, {"type": "bool", "default": False}) for name in SWITCHES)
    spec.update((name, {"type": "raw"}) for name in VALUES)
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)

    exit_code, stdout, stderr = module.run_command(command_line(module))
    result = {"exit_code": exit_code, "changed": False}
    try:
        report = harmless(json.loads(stdout))
    except ValueError:
        module.fail_json(msg=stderr.strip() or f"tcphup exited with {exit_code}", **result)
    connections = report.pop("connections")
    failed = [connection for connection in connections if connection["outcome"] in FAILURES]
    result["report"] = report
    result["connections"] = first(module.params["connections"], failed, connections)
    result["changed"] = any(connection["outcome"] in CHANGES for connection in connections)
    if module.params["command"] == "keepalive" and module._diff:
        result["diff"] = diff_of(connections)
    for line in stderr.splitlines():
        module.warn(line)
    if exit_code != 0:
        module.fail_json(msg=why(report, failed, exit_code), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
