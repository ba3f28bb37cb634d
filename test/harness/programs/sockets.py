"""An application with TCP sockets of every kind, the same for the same seed: usage sockets.py SEED COUNT [CGROUP...]

The sockets are over IPv4, IPv6 and both (v4-mapped), in most states, with marks, bound to devices, with ports chosen and
left to the kernel, created in the cgroup directories that are given. Each line of standard input is answered by a line
"ready" once there are sockets in TIME-WAIT again, which do not stay. When standard input ends, so does the program.

It needs these local addresses: 10.0.0.1, 10.0.0.2, 10.1.0.1, 2001:db8::1, 2001:db8::2, fd00::1; and 192.168.7.9 and
2001:db8:7::9 to be reached through the device v0 and never to answer.
"""

import os
import random
import socket
import sys

SO_MARK = 36
TIME_WAITS = 8

V4 = ["10.0.0.1", "10.0.0.2", "10.1.0.1", "127.0.0.1", "127.0.0.2"]
V6 = ["2001:db8::1", "2001:db8::2", "fd00::1", "::1"]
SILENT = {"v4": "192.168.7.9", "mapped": "::ffff:192.168.7.9", "v6": "2001:db8:7::9"}
KINDS = {
    "v4": (socket.AF_INET, V4),
    "mapped": (socket.AF_INET6, [f"::ffff:{address}" for address in V4]),
    "v6": (socket.AF_INET6, V6),
}

rng = random.Random(int(sys.argv[1]))
count = int(sys.argv[2])
cgroups = sys.argv[3:]
held = []


def new_socket(family, v6only=False):
    sock = socket.socket(family)
    held.append(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_MARK, rng.choice([0, 0, 1, 2, 0x11]))
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    return sock


def listener(family, address, port, v6only=False, defer=False):
    sock = new_socket(family, v6only)
    sock.bind((address, port))
    if defer:
        # A connection stays in SYN-RECV until its client sends something, which ours do not.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 3600)
    sock.listen(1024)
    return sock


listeners = {8000 + i: listener(socket.AF_INET, "0.0.0.0", 8000 + i) for i in range(4)}
listeners |= {8010 + i: listener(socket.AF_INET6, "::", 8010 + i) for i in range(4)}
listeners |= {8020: listener(socket.AF_INET6, "::", 8020, v6only=True)}
DEFERRING = {"v4": 8030, "mapped": 8031, "v6": 8031}
listener(socket.AF_INET, "0.0.0.0", 8030, defer=True)
listener(socket.AF_INET6, "::", 8031, defer=True)

SERVERS = {"v4": range(8000, 8004), "mapped": range(8010, 8014), "v6": [*range(8010, 8014), 8020]}
# An IPv4 client at a dual-stack listener: one end is AF_INET, the other v4-mapped.
SERVERS["v4"] = [*SERVERS["v4"], *range(8010, 8014)]


def connect(kind, server_port=None, to=None):
    """A client, from a port that is chosen, chosen where the kernel would, or left to the kernel."""
    family, addresses = KINDS[kind]
    server_port = server_port or rng.choice(SERVERS[kind])
    for _ in range(20):
        client = new_socket(family)
        if to:
            client.setblocking(False)
        if rng.random() < 0.3:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"v0" if to else b"lo")
        try:
            if not to and rng.random() < 0.7:
                client.bind((rng.choice(addresses), rng.choice([0, rng.randrange(2000, 2020), rng.randrange(40000, 40020)])))
            client.connect((to or rng.choice(addresses), server_port))
        except BlockingIOError:
            return client
        except OSError:
            # The port is taken, or the two addresses cannot talk to each other.
            held.remove(client)
            client.close()
            continue
        return client
    sys.exit("found no free port in twenty attempts")


def pair(kind):
    client = connect(kind)
    server, _ = listeners[client.getpeername()[1]].accept()
    held.append(server)
    return client, server


def fill(sock):
    """Sends until nothing more goes, so that what is sent after it, such as a FIN, stays in the queue."""
    sock.setblocking(False)
    try:
        while True:
            sock.send(bytes(1 << 16))
    except BlockingIOError:
        pass


def close(sock):
    held.remove(sock)
    sock.close()


def established(kind):
    pair(kind)


def half_closed(kind):
    """FIN-WAIT-2 and CLOSE-WAIT."""
    rng.choice(pair(kind)).shutdown(socket.SHUT_WR)


def fin_unsent(kind):
    """FIN-WAIT-1, behind a window that stays shut."""
    client, _ = pair(kind)
    fill(client)
    client.shutdown(socket.SHUT_WR)


def last_ack(kind):
    """LAST-ACK and FIN-WAIT-2."""
    client, server = pair(kind)
    server.shutdown(socket.SHUT_WR)
    fill(client)
    client.shutdown(socket.SHUT_WR)


def time_wait(kind):
    """TIME-WAIT, with nobody at either end."""
    client, server = pair(kind)
    close(client)
    close(server)


def syn_sent(kind):
    connect(kind, to=SILENT[kind])


def syn_recv(kind):
    """SYN-RECV at the server, ESTAB at the client."""
    connect(kind, DEFERRING[kind])


SHAPES = [established] * 8 + [half_closed] * 3 + [fin_unsent, last_ack, syn_sent, syn_sent, syn_recv, syn_recv]

for i in range(count):
    if cgroups and i % 8 == 0:
        with open(os.path.join(rng.choice(cgroups), "cgroup.procs"), "w") as procs:
            procs.write("0")
    rng.choice(SHAPES)(rng.choice(list(KINDS)))


def time_waits_left():
    """How many sockets are in TIME-WAIT: a field of /proc/net/sockstat."""
    with open("/proc/thread-self/net/sockstat") as sockstat:
        fields = next(line for line in sockstat if line.startswith("TCP:")).split()
    return int(fields[fields.index("tw") + 1])


for _ in sys.stdin:
    while time_waits_left() < TIME_WAITS:
        time_wait(rng.choice(list(KINDS)))
    print("ready", flush=True)
