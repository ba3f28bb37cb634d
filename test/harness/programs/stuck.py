"""Processes about which calls do not return, since a file system does not answer: FUSE, served by this program.

Usage: stuck.py MODE ADDRESS PORT UID COUNT, in a mount namespace of its own. Each of COUNT processes of user UID has a
connection to ADDRESS:PORT, and

- lock: is in send(2) of a page that does not come, with the lock of its socket;
- proc: has such a file system in place of its /proc/PID/fd, which in this mount namespace hangs at it then, as the kernel's
  own does everywhere at a process that is stuck in execve(2).

Prints their process ids when all is so, and lets go when standard input ends.
"""

import ctypes
import json
import mmap
import os
import signal
import socket
import stat
import struct
import sys
import tempfile

ROOT, FIRST = 1, 2  # nodes: the directory, and the first file in it, which is called 0
PAGE = 4096
LOOKUP, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, OPENDIR = 1, 3, 14, 15, 18, 25, 26, 27
FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42
ENOSYS = 38

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p


def mount(path, silent, told):
    """Mounts it in a process of its own, which answers all requests but those of the kinds `silent`, and tells of these."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    if libc.mount(b"tcphup-test", path.encode(), b"fuse", 2 | 4, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    server = os.fork()
    if server == 0:
        serve(device, silent, told)
    os.close(device)
    return server


def attributes(node):
    mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o666
    return struct.pack("<6Q10I", node, PAGE, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, PAGE, 0)


def serve(device, silent, told):
    while True:
        request = os.read(device, 1 << 20)
        _, kind, unique, node = struct.unpack_from("<IIQQ", request)
        if kind in silent:
            os.write(told, b"x")
            continue
        if kind in (FORGET, INTERRUPT, BATCH_FORGET):
            continue
        error, data = 0, b""
        if kind == INIT:
            # Version 7.31.
            data = struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 12, 10, PAGE * 16, 1, 32, 0, *[0] * 8)
        elif kind == LOOKUP:
            file = FIRST + int(request[40:-1])
            data = struct.pack("<4Q2I", file, 0, 1, 1, 0, 0) + attributes(file)
        elif kind == GETATTR:
            data = struct.pack("<QII", 1, 0, 0) + attributes(node)
        elif kind in (OPEN, OPENDIR):
            data = struct.pack("<QII", 1, 0, 0)
        elif kind not in (RELEASE, FLUSH):
            error = -ENOSYS
        os.write(device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)


def send_page(connection, path):
    page = libc.mmap(None, PAGE, mmap.PROT_READ, mmap.MAP_PRIVATE, os.open(path, os.O_RDONLY), 0)
    libc.send(connection.fileno(), ctypes.c_void_p(page), PAGE, 0)


def connected(uid, address, port, then):
    """A process of the user's that has connected, and does something then."""
    read, write = os.pipe()
    pid = os.fork()
    if pid != 0:
        os.close(write)
        os.read(read, 1)
        os.close(read)
        return pid
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    connection = socket.create_connection((address, port))
    os.write(write, b"x")
    then(connection)
    signal.pause()


def main(mode, address, port, uid, count):
    telling, told = os.pipe()
    if mode == "lock":
        directory = tempfile.mkdtemp(prefix="tcphup-test-")
        servers = [mount(directory, (READ,), told)]
        pids = [
            connected(uid, address, port, lambda connection: send_page(connection, f"{directory}/{number}"))
            for number in range(count)
        ]
        for _ in pids:
            os.read(telling, 1)
    else:
        pids = [connected(uid, address, port, lambda connection: None) for _ in range(count)]
        servers = [mount(f"/proc/{pid}/fd", (LOOKUP, GETATTR, OPENDIR), told) for pid in pids]
    print(json.dumps(pids), flush=True)
    sys.stdin.read()
    # Without a server all requests fail.
    for pid in (*servers, *pids):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if mode == "lock":
        libc.umount2(directory.encode(), 2)
        os.rmdir(directory)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
