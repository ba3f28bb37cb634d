"""Network namespaces without names, each with a process that lives in it and with TCP connections to itself, to port 7000 of
127.0.0.1, held by a few other processes. Says "ready", and ends, with all of it, when standard input does.

Arguments: how many namespaces, connections in each, processes that hold them.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
SIOCSIFFLAGS = 0x8914
IFF_UP = 1

libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def enter_new_namespace():
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def live_here(sockets):
    """Starts a process that stays in this namespace and holds none of the sockets."""
    if os.fork() == 0:
        end_with_parent()
        for sock in sockets:
            sock.close()
        while True:
            signal.pause()


def connections(count):
    with socket.create_server(("127.0.0.1", 7000), backlog=1024) as listener:
        for _ in range(count):
            yield socket.create_connection(listener.getsockname())
            yield listener.accept()[0]


def hold(namespaces, count, done):
    end_with_parent()
    sockets = []
    for _ in range(namespaces):
        enter_new_namespace()
        live_here(sockets)
        sockets += connections(count)
    os.write(done, b".")
    while True:
        signal.pause()


def main(namespaces, count, processes):
    ready, done = os.pipe()
    for i in range(processes):
        if os.fork() == 0:
            os.close(ready)
            hold(namespaces // processes + (i < namespaces % processes), count, done)
    os.close(done)
    for _ in range(processes):
        if not os.read(ready, 1):
            sys.exit("a process of the benchmark ended")
    print("ready", flush=True)
    sys.stdin.read()


main(*map(int, sys.argv[1:]))
