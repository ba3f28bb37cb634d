"""An application whose descriptors never stay: usage reuse.py ADDRESS DOOMED_PORT KEPT_PORT

Four threads each open a connection to the doomed port, close it, and at once open one to the kept port, which mostly
gets the same descriptor number; that one must echo. When standard input ends, one line of JSON tells how many rounds
there were, how many of them reused a descriptor number, and what befell connections to the kept port.
"""

import errno
import json
import random
import socket
import sys
import threading
import time

address, doomed, kept = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
stop = threading.Event()
report = {"rounds": 0, "reused": 0, "broken": []}
lock = threading.Lock()


def open_and_close_doomed():
    with socket.create_connection((address, doomed)) as sock:
        time.sleep(random.uniform(0, 0.002))
        return sock.fileno()


def echo_on_kept(text):
    """The descriptor's number, and what went wrong, if anything."""
    with socket.create_connection((address, kept)) as sock:
        try:
            for _ in range(3):
                sock.sendall(text)
                if sock.recv(64) != text:
                    return sock.fileno(), "EOF"
        except OSError as error:
            return sock.fileno(), errno.errorcode[error.errno]
        return sock.fileno(), None


def run():
    while not stop.is_set():
        before = open_and_close_doomed()
        after, trouble = echo_on_kept(b"ping")
        with lock:
            report["rounds"] += 1
            report["reused"] += before == after
            if trouble:
                report["broken"].append(trouble)


threads = [threading.Thread(target=run) for _ in range(4)]
for thread in threads:
    thread.start()
sys.stdin.read()
stop.set()
for thread in threads:
    thread.join()
print(json.dumps(report))
