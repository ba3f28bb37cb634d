"""Has descriptors, processes and connections change hands as fast as it can: usage racer.py MODE

Connections to 127.9.0.1:7001 are doomed, those to 127.9.1.1:7001 are to be kept: they must echo. When standard input ends,
one line of JSON tells how many rounds there were, in how many of them what was doomed had become what is kept under the
same number (of a descriptor, a process, or of both), and what befell those that were to be kept. Modes:

reopen    close a doomed descriptor, and open a kept one, which gets its number
swap      dup2(2) a kept one onto a doomed one's number
exec      a child with both becomes another program, which has the kept one alone
dissolve  connect a doomed socket to nobody (AF_UNSPEC), and then to the address that is kept
listen    dissolve it, and then listen on it
pid       end a process with a doomed one, and have one with a kept one get its number
"""

import ctypes
import errno
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time

DOOMED, KEPT = ("127.9.0.1", 7001), ("127.9.1.1", 7001)
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
PATIENCE_S = 20
AF_UNSPEC = ctypes.create_string_buffer(16)
NUMBER = 100
libc = ctypes.CDLL(None, use_errno=True)
done = threading.Event()
lock = threading.Lock()
report = {"rounds": 0, "reused": 0, "broken": []}


class Broken(Exception):
    pass


def serve(listener):
    """Echoes, in a process of its own."""
    poll, connections = select.epoll(), {}
    poll.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                connection = listener.accept()[0]
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                connections[connection.fileno()] = connection
                poll.register(connection, select.EPOLLIN)
                continue
            try:
                data = connections[fd].recv(64)
                if data:
                    connections[fd].send(data)
                    continue
            except OSError:
                pass
            poll.unregister(fd)
            connections.pop(fd).close()


def connected(address):
    """A connection that leaves no TIME-WAIT."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    sock.connect(address)
    sock.settimeout(PATIENCE_S)
    return sock


def echo(sock, times=3):
    for _ in range(times):
        try:
            sock.sendall(b"ping")
            if sock.recv(64) != b"ping":
                raise Broken("EOF")
        except OSError as error:
            raise Broken(errno.errorcode.get(error.errno, str(error))) from None


def linger_a_little():
    """Now for less time than it takes to look for the holder of a connection, now for more."""
    time.sleep(random.uniform(0, random.choice([0.003, 0.1])))


def reopen():
    doomed = connected(DOOMED)
    number = doomed.fileno()
    linger_a_little()
    doomed.close()
    with connected(KEPT) as kept:
        echo(kept)
        return kept.fileno() == number


def swap():
    with connected(DOOMED) as doomed, connected(KEPT) as kept:
        number = doomed.fileno()
        linger_a_little()
        os.dup2(kept.fileno(), number)
        with socket.socket(fileno=os.dup(number)) as again:
            again.settimeout(PATIENCE_S)
            echo(again)
        # What the number of the doomed one stands for is the kept one now.
        linger_a_little()
        echo(kept)
        return True


def exec_():
    with connected(KEPT) as kept:
        os.set_inheritable(kept.fileno(), True)
        pid = os.fork()
        if pid == 0:
            try:
                doomed = connected(DOOMED)
                linger_a_little()
                # Held by another descriptor, the doomed one ends only with the program.
                os.dup2(kept.fileno(), NUMBER, inheritable=True)
                os.dup2(doomed.fileno(), NUMBER + 1, inheritable=False)
                os.execv("/bin/sleep", ["sleep", f"{random.uniform(0, 0.004):.4f}"])
            finally:
                os._exit(1)
        os.waitpid(pid, 0)
        echo(kept)
        return True


def dissolve():
    with connected(DOOMED) as sock:
        linger_a_little()
        if libc.connect(sock.fileno(), AF_UNSPEC, 16) != 0:
            # Whoever was hung up on cannot be connected anew.
            return False
        try:
            sock.connect(KEPT)
        except OSError:
            return False
        echo(sock)
        linger_a_little()
        echo(sock)
        return True


def listen():
    with connected(DOOMED) as sock:
        linger_a_little()
        if libc.connect(sock.fileno(), AF_UNSPEC, 16) != 0:
            return False
        try:
            sock.bind(("127.9.2.1", 0))
            sock.listen()
        except OSError:
            return False
        for _ in range(2):
            try:
                with connected(sock.getsockname()):
                    sock.accept()[0].close()
            except OSError as error:
                raise Broken(f"listener: {errno.errorcode.get(error.errno, error)}") from None
            linger_a_little()
        return True


def holding(address, seconds):
    """A process that holds a connection under a certain number; what it says when it ends, if anything."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            sock = connected(address)
            os.dup2(sock.fileno(), NUMBER)
            # Under that number alone.
            number = sock.detach()
            os.close(number)
            sock = socket.socket(fileno=NUMBER)
            sock.settimeout(PATIENCE_S)
            time.sleep(seconds)
            if address == KEPT:
                echo(sock)
        except Broken as error:
            os.write(writable, str(error).encode())
        finally:
            os._exit(0)
    os.close(writable)
    return pid, readable


def pid():
    first, pipe = holding(DOOMED, PATIENCE_S)
    os.close(pipe)
    time.sleep(random.uniform(0.005, 0.03))
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(first - 1))
    second, pipe = holding(KEPT, random.uniform(0.01, 0.04))
    os.waitpid(second, 0)
    trouble = os.read(pipe, 64).decode()
    os.close(pipe)
    if trouble:
        raise Broken(trouble)
    return first == second


def run(play):
    while not done.is_set():
        try:
            reused, trouble = play(), None
        except Broken as error:
            reused, trouble = True, str(error)
        except OSError as error:
            # It was cut while it was made, or is no more what it was: what is doomed may be.
            reused, trouble = False, None
        with lock:
            report["rounds"] += 1
            report["reused"] += reused
            if trouble:
                report["broken"].append(trouble)


MODES = {
    "reopen": (reopen, 12),
    "swap": (swap, 12),
    "exec": (exec_, 1),
    "dissolve": (dissolve, 12),
    "listen": (listen, 12),
    "pid": (pid, 1),
}

if __name__ == "__main__":
    listener = socket.create_server(("0.0.0.0", 7001), backlog=1024)
    server = os.fork()
    if server == 0:
        serve(listener)
    play, count = MODES[sys.argv[1]]
    threads = [threading.Thread(target=run, args=[play]) for _ in range(count)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    done.set()
    for thread in threads:
        thread.join()
    os.kill(server, signal.SIGKILL)
    print(json.dumps(report), flush=True)
