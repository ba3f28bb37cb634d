"""Clients of a gRPC server, as far as its transport goes: HTTP/2 connections with prior knowledge (RFC 9113), each kept for
as long as it lasts, with a unary call on a new stream of it now and then.

As a channel of gRPC does, a client makes its connection anew when it has ended between two calls. A call that was begun is
never made again: whatever goes wrong with it is on record. When standard input ends the clients finish, and the record is
printed in JSON.
"""

import json
import select
import socket
import struct
import sys
import threading
import time

address, port, clients, think_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4

lock = threading.Lock()
record = {"requests": 0, "connects": 0, "failures": []}
over = threading.Event()


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(*fields):
    """HPACK (RFC 7541): literals without indexing, with a name of their own."""
    strings = (bytes([len(text)]) + text.encode() for field in fields for text in field)
    return b"".join(b"\0" + next(strings) + next(strings) for _ in fields)


REQUEST = headers(
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/pool.Pool/Call"),
    (":authority", "pool"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)
# A message of no bytes, not compressed.
MESSAGE = struct.pack(">BI", 0, 0)


class Connection:
    def __init__(self):
        self.socket = socket.create_connection((address, port), timeout=30)
        self.file = self.socket.makefile("rb")
        self.stream = -1
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))

    def has_ended(self):
        """Takes what came between two calls: settings and the like, or the end."""
        while select.select([self.socket], [], [], 0)[0]:
            if self.receive() is None:
                return True
        return False

    def receive(self):
        head = self.file.read(9)
        if len(head) < 9:
            return None
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        payload = self.file.read(int.from_bytes(head[:3], "big"))
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.socket.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        if kind in (RST_STREAM, GOAWAY):
            raise ValueError(f"frame of type {kind}: {payload!r}")
        return kind, flags, stream

    def call(self):
        self.stream += 2
        self.socket.sendall(
            frame(HEADERS, END_HEADERS, self.stream, REQUEST) + frame(DATA, END_STREAM, self.stream, MESSAGE)
        )
        while True:
            received = self.receive()
            if received is None:
                raise ConnectionError("the connection ended during a call")
            kind, flags, stream = received
            if stream == self.stream and kind in (DATA, HEADERS) and flags & END_STREAM:
                return

    def close(self):
        self.file.close()
        self.socket.close()


def connect():
    with lock:
        record["connects"] += 1
    return Connection()


def client():
    connection = connect()
    while not over.is_set():
        failure = None
        try:
            if connection.has_ended():
                connection.close()
                connection = connect()
            try:
                connection.call()
            except BrokenPipeError:
                # Nothing of the call has left.
                connection.close()
                connection = connect()
                connection.call()
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
            connection.close()
            connection = connect()
        with lock:
            record["requests"] += 1
            if failure is not None:
                record["failures"].append(failure)
        time.sleep(think_s)
    connection.close()


threads = [threading.Thread(target=client) for _ in range(clients)]
for thread in threads:
    thread.start()
    # Not all in step.
    time.sleep(think_s / clients)
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
print(json.dumps(record))
