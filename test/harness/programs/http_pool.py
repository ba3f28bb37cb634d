"""Clients of an HTTP server, each with a connection that it keeps alive and thinks for a while between two requests.

Before a client uses its connection again it looks whether that has ended, as pools do (urllib3, for one), and connects
anew if so; and if it ends in between, so that nothing of the request can be written. It never sends a request twice:
whatever goes wrong with one that was sent is on record, with the seconds since it began. When standard input ends they finish, and the record is printed
in JSON.
"""

import http.client
import json
import select
import sys
import threading
import time

address, port, clients, think_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])

lock = threading.Lock()
record = {"requests": 0, "connects": 0, "failures": []}
over = threading.Event()


def has_ended(connection):
    return connection.sock is not None and bool(select.select([connection.sock], [], [], 0)[0])


def connect(connection):
    connection.close()
    connection.connect()
    with lock:
        record["connects"] += 1


def send(connection):
    if connection.sock is None or has_ended(connection):
        connect(connection)
    try:
        connection.request("GET", "/")
    except BrokenPipeError:
        connect(connection)
        connection.request("GET", "/")


def request(connection):
    send(connection)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200 or body != b"done":
        raise ValueError(f"{response.status} {body}")


def client():
    connection = http.client.HTTPConnection(address, port, timeout=30)
    while not over.is_set():
        failure = None
        start = time.monotonic()
        try:
            request(connection)
        except Exception as error:
            failure = [f"{type(error).__name__}: {error}", time.monotonic() - start]
            connection.close()
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
