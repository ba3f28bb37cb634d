"""A client that tells how its sockets are set, in JSON: options.py ADDRESS PORT [COUNT [THREADS]].

Each line of the list is one connection: SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT, as
they are when connect(2) has returned and the program has set nothing itself.
"""

import json
import socket
import sys
import threading

SOL, TCP = socket.SOL_SOCKET, socket.IPPROTO_TCP
OPTIONS = [
    (SOL, socket.SO_KEEPALIVE),
    (TCP, socket.TCP_KEEPIDLE),
    (TCP, socket.TCP_KEEPINTVL),
    (TCP, socket.TCP_KEEPCNT),
    (TCP, socket.TCP_USER_TIMEOUT),
]


def options(connection):
    return [connection.getsockopt(level, name) for level, name in OPTIONS]


def connect(address, port, blocking=True):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setblocking(blocking)
    connection.connect_ex((address, port)) if not blocking else connection.connect((address, port))
    return connection


if __name__ == "__main__":
    address, port = sys.argv[1], int(sys.argv[2])
    count, threads = ([int(arg) for arg in sys.argv[3:]] + [1, 1])[:2]
    seen = []

    def work(blocking):
        for _ in range(count):
            with connect(address, port, blocking) as connection:
                seen.append(options(connection))

    workers = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    json.dump(seen, sys.stdout)
