"""Clients of an HTTP server, each with a connection that it keeps alive and thinks for a while between two requests.

Before a client uses its connection again it looks whether the server has ended it, as pools do (urllib3, for one), and
connects anew if so. It never sends a request twice: whatever goes wrong with one is on record. When standard input ends
they finish, and the record is printed in JSON.
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


def request(connection):
    if has_ended(connection):
        connection.close()
    if connection.sock is None:
        connection.connect()
        with lock:
            record["connects"] += 1
    connection.request("GET", "/")
    response = connection.getresponse()
    body = response.read()
    if response.status != 200 or body != b"done":
        raise ValueError(f"{response.status} {body}")


def client():
    connection = http.client.HTTPConnection(address, port, timeout=30)
    while not over.is_set():
        failure = None
        try:
            request(connection)
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
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
