"""An application with TCP connections, as clients, as a server, or both: driven line by line, in JSON.

Each line of standard input is a command, {"do": "connect", ...}; each is answered by one line, {"reply": ...} or
{"error": "..."}. A connection goes by a number of ours. What its application sees goes on record: how many bytes came,
and how it ended, "EOF" or the errno's name. When standard input ends, so does the program.
"""

import ctypes
import errno
import json
import os
import resource
import select
import selectors
import signal
import socket
import subprocess
import threading
import time
import traceback

IPPROTO = {"tcp": socket.IPPROTO_TCP, "mptcp": 262}
KEEPALIVE = {
    "idle_s": socket.TCP_KEEPIDLE,
    "interval_s": socket.TCP_KEEPINTVL,
    "count": socket.TCP_KEEPCNT,
    "user_timeout_ms": socket.TCP_USER_TIMEOUT,
}
IP_TRANSPARENT = 19
CLONE_FILES = 0x400
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15

# How long to wait for what is certain to come unless something is broken.
PATIENCE_S = 120

# How long after its client a server closes. At once would be too soon: when the FINs of both sides cross the loopback on
# two processors at a time, Linux 6.18 acknowledges the second one twice, and the server's side, gone by then, answers
# that with a RST. It does so after any close(2), a few times in a hundred, and then nobody could tell a RST of tcphup's.
CLOSING_DELAY_S = 0.1

libc = ctypes.CDLL(None, use_errno=True)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def keepalive_of(sock):
    def value(option):
        try:
            return sock.getsockopt(socket.IPPROTO_TCP, option)
        except OSError:
            # MPTCP has no TCP_USER_TIMEOUT.
            return None

    enabled = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
    return {"enabled": enabled, **{name: value(option) for name, option in KEEPALIVE.items()}}


class Connection:
    def __init__(self, sock, serves=False):
        self.sock = sock
        # A server sends back what it gets, and closes soon after its client does.
        self.serves = serves
        # Where to connect to anew whenever the connection ends, or nothing.
        self.reconnects_to = None
        self.received = 0
        self.ends = []
        self.reading = True

    @property
    def port(self):
        return self.sock.getsockname()[1]


class Peer:
    def __init__(self):
        # A connection may be put on descriptor 0, so commands are read elsewhere.
        self.commands = os.fdopen(os.dup(0), "rb", buffering=0)
        self.selector = selectors.DefaultSelector()
        self.listeners = []
        self.connections = []
        # Connections that are to be closed, and when, in that order.
        self.closing = []
        self.in_flight = []
        self.children = []

    # Running

    def serve_commands(self):
        pending = b""
        self.selector.register(self.commands, selectors.EVENT_READ)
        while True:
            ready = self.ready_sockets()
            for key in ready:
                if key.fileobj is not self.commands:
                    key.data()
            # Last, since a command may serve sockets meanwhile, and what is said of the others is out of date then.
            if any(key.fileobj is self.commands for key in ready):
                chunk = os.read(self.commands.fileno(), 65536)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    self.answer(json.loads(line))

    def answer(self, command):
        try:
            answer = {"reply": getattr(self, "do_" + command.pop("do"))(**command)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)

    def run_until(self, done):
        """Serves sockets, but reads no command, until `done()`."""
        self.selector.unregister(self.commands)
        deadline = time.monotonic() + PATIENCE_S
        try:
            while not done():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nothing for {PATIENCE_S} s")
                for key in self.ready_sockets():
                    key.data()
        finally:
            self.selector.register(self.commands, selectors.EVENT_READ)

    def ready_sockets(self):
        """Waits until sockets can be served, or a little while; closes those whose time has come."""
        ready = [key for key, _ in self.selector.select(CLOSING_DELAY_S)]
        while self.closing and self.closing[0][0] < time.monotonic():
            self.closing.pop(0)[1].close()
        return ready

    # Sockets

    def add(self, connection):
        self.connections.append(connection)
        self.watch(connection)
        return len(self.connections) - 1

    def watch(self, connection, events=selectors.EVENT_READ):
        connection.sock.setblocking(False)
        self.selector.register(connection.sock, events, lambda: self.ready(connection))

    def start_accepting(self, listener):
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, lambda: self.accept(listener))

    def accept(self, listener):
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        self.add(Connection(sock, serves=True))

    def ready(self, connection):
        try:
            data = connection.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(connection, errno.errorcode[error.errno])
            return
        connection.received += len(data)
        if not data:
            self.end(connection, "EOF")
        elif connection.serves:
            try:
                connection.sock.send(data)
            except OSError:
                pass  # The next read says how the connection ended.

    def connected(self, connection):
        """A connect(2) that was not waited for has come to its end."""
        self.selector.unregister(connection.sock)
        error = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            connection.ends.append(errno.errorcode[error])
        else:
            self.watch(connection)

    def end(self, connection, how):
        self.selector.unregister(connection.sock)
        connection.ends.append(how)
        if connection.serves:
            self.closing.append((time.monotonic() + CLOSING_DELAY_S, connection.sock))
        elif connection.reconnects_to:
            connection.sock.close()
            try:
                connection.sock = self.open(*connection.reconnects_to)
            except OSError as error:
                connection.ends.append(errno.errorcode[error.errno])
            else:
                self.watch(connection)

    def open(self, address, port, protocol, source):
        sock = self.bound(address, protocol, source)
        sock.connect((address, port))
        return sock

    def bound(self, address, protocol="tcp", source=None):
        """A socket with a port, by which tests know it: connect(2) may give the same to two that go to different places."""
        sock = socket.socket(family_of(address), socket.SOCK_STREAM, IPPROTO[protocol])
        sock.bind((source or "", 0))
        return sock

    # Commands

    def do_listen(self, address, port, protocol="tcp", accept=True):
        listener = socket.socket(family_of(address), socket.SOCK_STREAM, IPPROTO[protocol])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((address, port))
        listener.listen(4096)
        self.listeners.append(listener)
        if accept:
            self.start_accepting(listener)

    def do_start_accepting(self):
        """From now on accepts what waits at listeners that did not accept."""
        for listener in self.listeners:
            if listener.fileno() not in self.selector.get_map():
                self.start_accepting(listener)

    def do_connect(self, address, port, count=1, protocol="tcp", source=None, descriptor=None, reconnect=False):
        """Opens connections; the first one on the given descriptor, if any. Returns their numbers and local ports."""
        numbers = []
        for _ in range(count):
            sock = self.open(address, port, protocol, source)
            if descriptor is not None:
                os.dup2(sock.fileno(), descriptor)
                sock.close()
                sock, descriptor = socket.socket(fileno=descriptor), None
            connection = Connection(sock)
            if reconnect:
                connection.reconnects_to = (address, port, protocol, source)
            numbers.append(self.add(connection))
        return [[number, self.connections[number].port] for number in numbers]

    def do_begin_connect(self, address, port):
        """As connect, but returns while the other end has not answered."""
        sock = self.bound(address)
        sock.setblocking(False)
        sock.connect_ex((address, port))
        connection = Connection(sock)
        self.connections.append(connection)
        self.selector.register(sock, selectors.EVENT_WRITE, lambda: self.connected(connection))
        return [[len(self.connections) - 1, connection.port]]

    def do_connect_transparently(self, address, port, source):
        """Connects from an address that is not this host's, as a transparent proxy does."""
        sock = socket.socket(family_of(address), socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
        sock.bind((source, 0))
        # There is no way back to there, so nobody answers.
        sock.setblocking(False)
        sock.connect_ex((address, port))
        self.connections.append(Connection(sock))
        return [[len(self.connections) - 1, sock.getsockname()[1]]]

    def do_connect_in_thread(self, address, port):
        """Opens a connection in a thread with a descriptor table of its own, which blocks in recv(2) on it."""
        started, opened = threading.Event(), []

        def run():
            if libc.unshare(CLONE_FILES) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            connection = Connection(self.open(address, port, "tcp", None))
            self.connections.append(connection)
            opened.append([len(self.connections) - 1, connection.port])
            started.set()
            try:
                while data := connection.sock.recv(65536):
                    connection.received += len(data)
                connection.ends.append("EOF")
            except OSError as error:
                connection.ends.append(errno.errorcode[error.errno])

        threading.Thread(target=run, daemon=True).start()
        started.wait(PATIENCE_S)
        return opened

    def do_serving(self, count):
        """The numbers and peers' ports of the connections accepted and still open, once there are that many."""
        def serving():
            return [(i, c) for i, c in enumerate(self.connections) if c.serves and not c.ends and c.sock.fileno() >= 0]

        self.run_until(lambda: len(serving()) >= count)
        return [[i, c.sock.getpeername()[1]] for i, c in serving()]

    def do_send(self, numbers, text):
        """Sends the text on each; returns null or the errno's name for each."""
        def send(connection):
            try:
                connection.sock.send(text.encode())
            except OSError as error:
                return errno.errorcode[error.errno]

        return [send(self.connections[number]) for number in numbers]

    def do_echo(self, numbers):
        """Sends four bytes on each and waits until they are back; returns "alive", or how it ended, for each."""
        chosen = [self.connections[number] for number in numbers]
        wanted = [connection.received + 4 for connection in chosen]
        ends = [len(connection.ends) for connection in chosen]
        refused = self.do_send(numbers, "ping")

        def outcome(i):
            if len(chosen[i].ends) > ends[i] or (ends[i] and not chosen[i].reconnects_to):
                return chosen[i].ends[-1]
            return refused[i] or ("alive" if chosen[i].received >= wanted[i] else None)

        self.run_until(lambda: all(outcome(i) for i in range(len(chosen))))
        return [outcome(i) for i in range(len(chosen))]

    def do_ended(self, numbers):
        """Waits until each has ended at least once; returns how, for each."""
        self.run_until(lambda: all(self.connections[number].ends for number in numbers))
        return [self.connections[number].ends[0] for number in numbers]

    def do_seen(self, numbers):
        """What each has seen so far."""
        chosen = [self.connections[number] for number in numbers]
        return [{"received": connection.received, "ends": connection.ends} for connection in chosen]

    def do_stop_reading(self, numbers):
        for number in numbers:
            self.selector.unregister(self.connections[number].sock)

    def do_go_on_reading(self, numbers):
        for number in numbers:
            self.watch(self.connections[number])

    def do_failing(self, numbers):
        """Whether each has an error that is still to be returned."""
        def fails(connection):
            poll = select.poll()
            poll.register(connection.sock, 0)
            return any(events & select.POLLERR for _, events in poll.poll(0))

        return [fails(self.connections[number]) for number in numbers]

    def do_close(self, numbers):
        for number in numbers:
            connection = self.connections[number]
            if connection.sock.fileno() in self.selector.get_map():
                self.selector.unregister(connection.sock)
            connection.sock.close()

    def do_reuse(self, numbers, address=None, port=None):
        """Dissolves each connection, and connects its socket to another peer; without an address, listens on its port."""
        for number in numbers:
            sock, own_port = self.connections[number].sock, self.connections[number].port
            self.selector.unregister(sock)
            if libc.connect(sock.fileno(), bytes(16), 16) != 0:
                raise OSError(ctypes.get_errno(), "connect to AF_UNSPEC")
            if address is None:
                sock.bind(("", own_port))
                sock.listen()
            else:
                sock.setblocking(True)
                sock.connect((address, port))
                self.watch(self.connections[number])

    def do_put_in_flight(self, numbers):
        """Sends the descriptors to a local socket whose other end never receives them, and closes its own."""
        here, there = socket.socketpair()
        socket.send_fds(here, [b"."], [self.connections[number].sock.fileno() for number in numbers])
        self.do_close(numbers)
        self.in_flight += [here, there]

    def do_set_keepalive(self, numbers, enabled=None, **values):
        """Sets those values of KEEPALIVE that are given."""
        for number in numbers:
            sock = self.connections[number].sock
            for name, value in values.items():
                sock.setsockopt(socket.IPPROTO_TCP, KEEPALIVE[name], value)
            if enabled is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, enabled)

    def do_set_mark(self, numbers, mark):
        for number in numbers:
            self.connections[number].sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)

    def do_bind_to_device(self, numbers, device):
        for number in numbers:
            sock = self.connections[number].sock
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")

    def do_keepalive(self, numbers):
        """What getsockopt(2) says to the application itself, for each."""
        return [keepalive_of(self.connections[number].sock) for number in numbers]

    def do_keepalive_of_listeners(self):
        """The same for the sockets that it listens on."""
        return [keepalive_of(listener) for listener in self.listeners]

    def do_fork(self, uid=None, dumpable=True):
        """Starts a child that holds every socket too, until this process ends; returns its process id."""
        ready, done = os.pipe()
        pid = os.fork()
        if pid == 0:
            if uid is not None:
                os.setresuid(uid, uid, uid)
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            libc.prctl(PR_SET_DUMPABLE, int(dumpable))
            os.write(done, b".")
            while True:
                signal.pause()
        os.read(ready, 1)
        self.children.append(pid)
        return pid

    def do_leave_netns(self):
        """Goes into a network namespace of its own; the sockets stay where they are."""
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")

    def do_set_dumpable(self, dumpable):
        libc.prctl(PR_SET_DUMPABLE, int(dumpable))

    def do_set_name(self, name):
        libc.prctl(PR_SET_NAME, name.encode(errors="surrogateescape"))

    def do_run(self, command):
        """Runs a program as a child of this process, which holds its connections meanwhile."""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * PATIENCE_S)
        return {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


if __name__ == "__main__":
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    peer = Peer()
    try:
        peer.serve_commands()
        code = 0
    except BaseException:
        traceback.print_exc()
        code = 1
    for child in peer.children:
        os.kill(child, signal.SIGKILL)
    # At once: a thread may still be in recv(2).
    os._exit(code)
