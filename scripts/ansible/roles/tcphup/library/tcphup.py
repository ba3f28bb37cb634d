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
author: The authors of tcphup
attributes:
  check_mode: {support: full}
  diff_mode:
    support: partial
    details: With I(command=keepalive), the settings of each connection before and after.
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
  # deno task docs: options
  filter:
    description:
      - "What a filter of ss(8) says: 'dst 10.0.0.0/8 and dport = :443'."
      - "The whole language: dst, src, dport, sport, dev, fwmark, cgroup, autobound; and, or, not, parentheses; state and exclude before them. As in ss, what stands further left binds first, so mix and with or in parentheses."
    type: raw
  dst:
    description:
      - "To this peer: what DEST may be; given again, or to another."
      - "Repeated flags of one kind are alternatives, flags of different kinds must all hold."
    type: raw
  src:
    description:
      - "From this address of the host."
    type: raw
  dport:
    description:
      - "To this port of the peer: what PORT may be."
    type: raw
  sport:
    description:
      - "From this port of the host."
    type: raw
  dst_file:
    description:
      - "To one of the peers in a file, one a line; - is standard input."
      - "Addresses, prefixes and host names; # begins a comment. They are alternatives to DEST and --dst. A file without any selects nothing."
    type: raw
  state:
    description:
      - "In this state, as ss names it."
      - "One of established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, last-ack, listening, closing, bound-inactive, all, connected, synchronized, bucket, big (idiag_state). Listening sockets are never hung up on; time-wait takes --destroy."
    type: raw
  interface:
    description:
      - "Bound to this network interface."
      - "By SO_BINDTODEVICE, a VRF or a link-local address (idiag_if). Most connections are bound to none, whichever way their packets take."
    type: raw
  mark:
    description:
      - "With this SO_MARK; needs CAP_NET_ADMIN."
      - "INET_DIAG_MARK, which the kernel shows to CAP_NET_ADMIN only."
    type: raw
  user:
    description:
      - "Of this user, by name or number."
      - "The user that opened the socket (idiag_uid), not the one that the process runs as now."
    type: raw
  pid:
    description:
      - "Held by this process."
      - "By it among others: a connection is selected by any of its holders. All that is said of a process must hold for one and the same."
    type: raw
  children:
    description:
      - "With --pid: or by a descendant of it."
    type: bool
    default: false
  comm:
    description:
      - "Held by a process of this name."
      - "/proc/PID/comm, of which the kernel keeps 15 bytes. * ? and [a-z] are as in a shell."
    type: raw
  exe:
    description:
      - "Held by a process that runs this program."
      - "/proc/PID/exe: the whole path where the pattern has a slash, else its last part. ** also stands for slashes."
    type: raw
  cgroup:
    description:
      - "Held by a process in this control group, or below it."
      - "/proc/PID/cgroup, in whichever hierarchy: a path from its root or from its mount (/system.slice/nginx.service); a name at any depth (nginx.service, user-*.slice); the UID of a Kubernetes pod; the id of a container."
    type: raw
  container:
    description:
      - "Held by a process in this container."
      - "The id, or as much of its start as no other one has, as Docker, containerd, CRI-O and Podman put it in the name of the control group, or with the runtime in front as Kubernetes shows it (containerd://ID)."
    type: raw
  missing_ok:
    description:
      - "With --cgroup: one that this host does not have selects nothing, and is no error."
    type: bool
    default: false
  netns:
    description:
      - "In this network namespace: a name of ip netns, a PID, a path, or all."
      - "All is every namespace that a process lives in (/proc/PID/ns/net) or that has a name in /run/netns, each once. A holder is found wherever it lives. Entering takes CAP_SYS_ADMIN: what may not be entered is named, exit 1."
    type: raw
  idle_for:
    description:
      - "No data either way for so long, as in 5m."
      - "The lesser of tcpi_last_data_sent and tcpi_last_data_recv. Keepalive probes and acknowledgements are no data, retransmissions are. Of MPTCP from Linux 6.10 on."
    type: raw
  stalled:
    description:
      - "What was sent is not acknowledged, and is being sent again: a dead peer."
      - "Tcpi_unacked or idiag_wqueue above 0, and tcpi_retransmits above 0, or above 1 tcpi_probes: a peer that is alive but has no room answers window probes. A SYN counts too. MPTCP does not say it."
    type: bool
    default: false
  close_wait:
    description:
      - "The peer has ended it, the application has not: often leaked."
      - "Idiag_state is TCP_CLOSE_WAIT."
    type: bool
    default: false
  no_keepalive:
    description:
      - "SO_KEEPALIVE is off."
      - "Where idiag_timer is the keepalive timer it is on; else getsockopt(2) is asked on a duplicate of the holder's descriptor, which takes the same rights as hanging up. What cannot be asked is not selected, exit 1."
    type: bool
    default: false
  src_gone:
    description:
      - "From an address that is no longer this host's: a VIP that moved away."
      - "Idiag_src is neither an address of an interface (RTM_GETADDR) nor in the routing table local (RTM_GETROUTE) of its network namespace, and not loopback. A transparent proxy's connections (INET_DIAG_SOCKOPT) are left out."
    type: bool
    default: false
  ipv4:
    description:
      - "Only connections over IPv4, v4-mapped ones included."
    type: bool
    default: false
  ipv6:
    description:
      - "Only connections over IPv6."
    type: bool
    default: false
  include_session:
    description:
      - "Do not spare your own session, such as your ssh connection."
      - "Hup spares what SSH_CONNECTION names, what an ancestor of tcphup has accepted, and whatever those hold who serve its terminal, or that of a client of tmux or screen. keepalive and ls spare nothing."
    type: bool
    default: false
  listeners:
    description:
      - "Also listening sockets: what they accept from then on has the values."
      - "A listener has no peer, so DEST is any, and the rest of the selection (this host's address and port, the process, the network namespace) chooses listeners as it chooses connections."
      - "With I(command=keepalive)."
    type: bool
    default: false
  idle:
    description:
      - "How long without a sign of the peer before the first probe, default 15 s."
      - "1 to 32767 s. 0, here as in all values, leaves what the socket has."
      - "With I(command=keepalive)."
    type: raw
  interval:
    description:
      - "From one unanswered probe to the next, default 15 s."
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
      - "A time, or auto: idle + interval x count, at which the count is reached too. Where it is set the kernel goes by it and not by the count. Without it, data in flight waits for a quarter of an hour."
      - "With I(command=keepalive)."
    type: raw
  syncnt:
    description:
      - "How often a SYN is sent again before a connect fails."
      - "1 to 127. It bears on connections that are being opened."
      - "With I(command=keepalive)."
    type: raw
  maxseg:
    description:
      - "The largest segment (TCP_MAXSEG)."
      - "88 to 32767. It bears on connections that are being opened and, by way of listeners, accepted."
      - "With I(command=keepalive)."
    type: raw
  window_clamp:
    description:
      - "The largest window to advertise (TCP_WINDOW_CLAMP)."
      - "With I(command=keepalive)."
    type: raw
  defer_accept:
    description:
      - "How long a listener waits for data before it wakes its application."
      - "The kernel rounds up to 1, 3, 7, 15 s and so on."
      - "With I(command=keepalive)."
    type: raw
  turn_off:
    description:
      - "Turn SO_KEEPALIVE off instead, and leave everything else, the user timeout too."
      - "With I(command=keepalive)."
    type: bool
    default: false
  only_missing:
    description:
      - "Never override what an application chose."
      - "Where SO_KEEPALIVE is on it is left as it is, whatever its values; where it is off it is turned on, but a TCP_USER_TIMEOUT that is set stays."
      - "With I(command=keepalive)."
    type: bool
    default: false
  max:
    description:
      - "When more than N match, touch nothing (exit 3)."
      - "Connections that appear while it works count too: those beyond N are left alone, and the exit code is 1."
      - "With I(command=hup)."
    type: raw
  linger:
    description:
      - "How long an unanswered FIN may linger (TCP_USER_TIMEOUT), default 5 s."
      - "Data that a slow but living peer has not acknowledged by then is lost. 0 leaves the socket's own setting, with which a FIN to a dead peer stays for up to a quarter of an hour and holds its local port."
      - "With I(command=hup)."
    type: raw
  fin_only:
    description:
      - "Shut down sending alone: the application reads until the peer has ended too."
      - "TCP_USER_TIMEOUT (--linger) bounds the time until the peer has acknowledged the FIN. What follows, in FIN-WAIT-2, lasts until the peer ends or the application closes, unless --destroy-after says otherwise. Some peers, nginx for one, take a FIN for the end of both ways and break off their answer."
      - "With I(command=hup)."
    type: bool
    default: false
  wait:
    description:
      - "Wait so long at most until they are gone, report what lingers."
      - "With I(command=hup)."
    type: raw
  verify:
    description:
      - "Look again in the end, and report what lingers (exit 1)."
      - "It waits for what --wait says or, without it, a second longer than --linger; no longer than until all are gone."
      - "With I(command=hup)."
    type: bool
    default: false
  destroy_after:
    description:
      - "So much later, abort what is still there, and what has no owner."
      - "Aborting sends a RST. It uses SOCK_DESTROY (CAP_NET_ADMIN, CONFIG_INET_DIAG_DESTROY) or, without that, connect(AF_UNSPEC) on a duplicate of the owner's descriptor, which there is none of where the program has closed it meanwhile: where that could be so, hup says it before it begins. What its program has closed is also left alone where SOCK_DESTROY would stop its timers (Linux before 6.11)."
      - "With I(command=hup)."
    type: raw
  destroy:
    description:
      - "Abort at once with a RST instead of hanging up."
      - "With I(command=hup)."
    type: bool
    default: false
  rate:
    description:
      - "Cut at most N a second; N/m and N/h are a minute and an hour."
      - "Connections that appear meanwhile are those that were made anew: they are left alone, except with --for. So it is with --over and --when-idle."
      - "With I(command=hup)."
    type: raw
  over:
    description:
      - "Spread the cuts evenly over that time."
      - "With I(command=hup)."
    type: raw
  jitter:
    description:
      - "How much of the time between two cuts chance may move each, default 50."
      - "0 makes them regular. 100 makes each moment equally likely."
      - "With I(command=hup)."
    type: raw
  when_idle:
    description:
      - "Cut each when it carries nothing, and no data went for that long."
      - "So that requests under way are finished and only the pauses between them are cut. One that takes longer than that to be answered looks like a pause: give a time longer than answers take. At the client's end, a request that begins at the moment of the cut is either refused with EPIPE before it is sent, or sent before the FIN, and its answer can be read: from servers that answer who has ended sending, which nginx as a proxy does only with proxy_ignore_client_abort on. At the server's end it may be on its way already, and is lost: cut at the client's end where you can."
      - "With I(command=hup)."
    type: raw
  deadline:
    description:
      - "With --when-idle: cut after that time what was never idle, default 30 s."
      - "With I(command=hup)."
    type: raw
  leave_busy:
    description:
      - "With --when-idle: leave alone what was never idle, and say so."
      - "With I(command=hup)."
    type: bool
    default: false
  for:
    description:
      - "Go on for that long: cut what appears, too."
      - "For clients that still find the old address and connect to it again."
      - "With I(command=hup)."
    type: raw
  every:
    description:
      - "With --for: how often to look, default 500 ms."
      - "With I(command=hup)."
    type: raw
  keepalive:
    description:
      - "Show their keepalive, and after how long a dead peer is noticed."
      - "It is read through a duplicate of each owner's descriptor, which takes the same rights as hanging up."
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
  tcphup:
    dest: 192.0.2.10
    port: 5432
    rate: 50/s
    destroy_after: 10s

- name: Notice within 30 seconds when a peer is gone, except where the application has keepalive on
  tcphup:
    command: keepalive
    dest: any
    idle: 20
    interval: 5
    count: 2
    only_missing: true

- name: See who talks to two services
  tcphup:
    command: ls
    dst: [192.0.2.10, db.internal]
    state: established
  register: clients
"""

RETURN = r"""
report:
  description: The document that C(tcphup --json) prints, with its counts, its connections and what became of each.
  returned: unless tcphup refused before it selected anything
  type: dict
  sample: {schema: 1, command: hup, dry_run: false, matched: 1, hung_up: 1, failed: 0, connections: [...]}
exit_code:
  description: The exit code of tcphup. The module fails when it is not 0.
  returned: always
  type: int
"""

import json
import re
from collections import Counter

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
    "idle": "--idle",
    "interval": "--interval",
    "count": "--count",
    "user_timeout": "--user-timeout",
    "syncnt": "--syncnt",
    "maxseg": "--maxseg",
    "window_clamp": "--window-clamp",
    "defer_accept": "--defer-accept",
    "max": "--max",
    "linger": "--linger",
    "wait": "--wait",
    "destroy_after": "--destroy-after",
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
            words.append(f"{flag}={one}")
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


def why(report, exit_code):
    """What a report says of a failure, in one line."""
    counts = Counter(
        (connection["outcome"], connection["error"])
        for connection in report["connections"]
        if connection["outcome"] in FAILURES
    )
    reasons = [f"{count} {outcome}: {error}" for (outcome, error), count in counts.most_common(REASONS_SHOWN)]
    if len(counts) > REASONS_SHOWN:
        reasons.append(f"and {len(counts) - REASONS_SHOWN} other reasons")
    reasons += [report["error"]] if report.get("error") else []
    reasons += report.get("unseen", [])
    return "; ".join(reasons) or f"tcphup exited with {exit_code}"


def diff_of(report):
    """The settings of the connections whose keepalive differs, a line each."""
    changed = [connection for connection in report["connections"] if connection["outcome"] in CHANGES]
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
    result["report"] = report
    result["changed"] = any(connection["outcome"] in CHANGES for connection in report["connections"])
    if module.params["command"] == "keepalive":
        result["diff"] = diff_of(report)
    for line in stderr.splitlines():
        module.warn(line)
    if exit_code != 0:
        module.fail_json(msg=why(report, exit_code), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
