"""Processes that the kernel keeps waiting for a file system that does not answer: FUSE, served by this program.

Usage: stuck.py MODE ADDRESS PORT UID COUNT, in a mount namespace of its own. Each of COUNT processes of user UID has a
connection to ADDRESS:PORT and gets stuck

- lock: in send(2), with the lock of its socket, since the page to be sent does not come;
- exec: in execve(2), where /proc of it cannot be read, since a descriptor that it closes there does not close.

Prints their process ids when all are, and lets go when standard input ends.
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

FIRST = 2  # the node of the first file, which is called 0; the root's is 1
PAGE = 4096
LOOKUP, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, OPENDIR = 1, 3, 14, 15, 18, 25, 26, 27
FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42
ENOENT, ENOSYS = 2, 38

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p


def mounted():
    """Mounts it. Returns where, and the descriptor to serve it by."""
    directory = tempfile.mkdtemp(prefix="tcphup-test-")
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    if libc.mount(b"tcphup-test", directory.encode(), b"fuse", 2 | 4, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    return directory, device


def attributes(node, size):
    mode = stat.S_IFDIR | 0o755 if node == 1 else stat.S_IFREG | 0o666
    return struct.pack("<6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, PAGE, 0)


def serve(device, silent, told):
    """Answers all requests but those of the kind `silent`, each of which it tells of."""
    while True:
        request = os.read(device, 1 << 20)
        _, kind, unique, node = struct.unpack_from("<IIQQ", request)
        if kind == silent:
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
            data = struct.pack("<4Q2I", file, 0, 1, 1, 0, 0) + attributes(file, PAGE)
        elif kind == GETATTR:
            data = struct.pack("<QII", 1, 0, 0) + attributes(node, PAGE)
        elif kind in (OPEN, OPENDIR):
            data = struct.pack("<QII", 1, 0, 0)
        elif kind not in (RELEASE, FLUSH):
            error = -ENOSYS
        os.write(device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)


def get_stuck(mode, path, address, port):
    connection = socket.create_connection((address, port))
    if mode == "lock":
        file = os.open(path, os.O_RDONLY)
        page = libc.mmap(None, PAGE, mmap.PROT_READ, mmap.MAP_PRIVATE, file, 0)
        libc.send(connection.fileno(), ctypes.c_void_p(page), PAGE, 0)
    else:
        connection.set_inheritable(True)
        os.open(path, os.O_RDWR | os.O_CLOEXEC)
        os.execv("/bin/sleep", ["sleep", "1000"])
    signal.pause()


def main(mode, address, port, uid, count):
    directory, device = mounted()
    telling, told = os.pipe()
    server = os.fork()
    if server == 0:
        serve(device, READ if mode == "lock" else FLUSH, told)
    os.close(device)
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            get_stuck(mode, f"{directory}/{number}", address, port)
        pids.append(pid)
    for _ in pids:
        os.read(telling, 1)
    print(json.dumps(pids), flush=True)
    sys.stdin.read()
    # Without a server all requests fail.
    for pid in (server, *pids):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    libc.umount2(directory.encode(), 2)
    os.rmdir(directory)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
