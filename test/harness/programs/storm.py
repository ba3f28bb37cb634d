"""Connects to itself from several threads, as fast as it can, until standard input ends: storm.py THREADS.

Tells in JSON how many connections it made, how many of them had no keepalive when connect(2) returned, and the errors.
"""

import json
import socket
import struct
import sys
import threading

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
done = threading.Event()
lock = threading.Lock()
seen = {"connections": 0, "unset": 0, "errors": []}


def serve():
    while not done.is_set():
        listener.accept()[0].close()


def work():
    while not done.is_set():
        try:
            with socket.create_connection(listener.getsockname()) as connection:
                is_on = connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                # Leave no TIME-WAIT, or the ports run out.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        except OSError as error:
            with lock:
                seen["errors"].append(error.strerror)
            continue
        with lock:
            seen["connections"] += 1
            seen["unset"] += is_on == 0


threading.Thread(target=serve, daemon=True).start()
workers = [threading.Thread(target=work) for _ in range(int(sys.argv[1]))]
for worker in workers:
    worker.start()
sys.stdin.read()
done.set()
for worker in workers:
    worker.join()
json.dump(seen, sys.stdout)
