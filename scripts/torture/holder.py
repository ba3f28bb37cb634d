"""Holds both ends of TCP connections, and tells what they see: usage holder.py NUMBER, driven by lines of standard input.

"reset N" has it hold N connections to 127.9.0.NUMBER:7001, as many bystanders to 127.9.1.NUMBER:7001 and one to
127.9.0.NUMBER:7002, each alive and with the system's options; it answers with "ready". "look" is answered by a line of
JSON: of each connection whether it carries data both ways, else how it ended, and the options of both ends. Nothing
closes because its peer has. 127.9.0.NUMBER:7003 is listened on for others.
"""

import errno
import json
import select
import socket
import struct
import sys

NUMBER = int(sys.argv[1])
DOOMED, KEPT, OTHER_PORT, OPEN = [
    (f"127.9.{third}.{NUMBER}", port) for third, port in [(0, 7001), (1, 7001), (0, 7002), (0, 7003)]
]
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
PATIENCE_S = 10
OPTIONS = {
    "idle_s": socket.TCP_KEEPIDLE,
    "interval_s": socket.TCP_KEEPINTVL,
    "count": socket.TCP_KEEPCNT,
    "user_timeout_ms": socket.TCP_USER_TIMEOUT,
}


def options_of(sock):
    enabled = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
    return {"enabled": enabled, **{name: sock.getsockopt(socket.IPPROTO_TCP, o) for name, o in OPTIONS.items()}}


def end_of(sock):
    """How a socket ended, as its next read says; None while it lives."""
    try:
        return None if sock.recv(4096) else "EOF"
    except BlockingIOError:
        return None
    except OSError as error:
        return errno.errorcode[error.errno]


def carry(sender, receiver):
    """Sends a byte; what went wrong, or None."""
    try:
        sender.send(b".")
    except OSError as error:
        return errno.errorcode[error.errno]
    if not select.select([receiver], [], [], PATIENCE_S)[0]:
        return "silence"
    return end_of(receiver)


class Pair:
    def __init__(self, listener, address):
        self.address = address
        self.client = socket.create_connection(address)
        self.server = listener.accept()[0]
        self.port = self.client.getsockname()[1]
        for end in (self.client, self.server):
            # What is closed leaves no TIME-WAIT.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            end.setblocking(False)
        self.options = self.options_now()
        self.ended = None

    def options_now(self):
        return [options_of(self.client), options_of(self.server)]

    def end(self):
        """How it ended, first seen: the next read says something else."""
        self.ended = (
            self.ended
            or end_of(self.client) or end_of(self.server)
            or carry(self.client, self.server) or carry(self.server, self.client)
        )
        return self.ended

    def is_as_new(self):
        return self.end() is None and self.options_now() == self.options

    def seen(self):
        return {
            "address": self.address[0],
            "dport": self.address[1],
            "port": self.port,
            "end": self.end(),
            "client": options_of(self.client),
            "server": options_of(self.server),
        }

    def close(self):
        self.client.close()
        self.server.close()


class Holder:
    def __init__(self):
        self.listeners = {a: socket.create_server(a, backlog=4096) for a in (DOOMED, KEPT, OTHER_PORT, OPEN)}
        self.listeners[OPEN].setblocking(False)
        self.pairs = {DOOMED: [], KEPT: [], OTHER_PORT: []}

    def reset(self, count):
        for address, wanted in ((DOOMED, count), (KEPT, count), (OTHER_PORT, 1)):
            as_new = [pair for pair in self.pairs[address] if pair.is_as_new()][:wanted]
            for pair in self.pairs[address]:
                if pair not in as_new:
                    pair.close()
            while len(as_new) < wanted:
                as_new.append(Pair(self.listeners[address], address))
            self.pairs[address] = as_new
        try:
            while True:
                self.listeners[OPEN].accept()[0].close()
        except BlockingIOError:
            return "ready"

    def look(self):
        pairs = [pair.seen() for pairs in self.pairs.values() for pair in pairs]
        listeners = [options_of(listener) for listener in self.listeners.values()]
        return json.dumps({"pairs": pairs, "listeners": listeners})


holder = Holder()
print("ready", flush=True)
for line in sys.stdin:
    command, *arguments = line.split()
    print(holder.look() if command == "look" else holder.reset(int(arguments[0])), flush=True)
