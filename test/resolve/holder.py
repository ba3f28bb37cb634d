# A process that holds sockets in the ways that a test asks for, says in one line of JSON which, and waits to be ended.

import ctypes, json, os, resource, signal, socket, sys, threading

CLONE_FILES = 0x400
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def held(fd):
    return {"fd": fd, "inode": os.fstat(fd).st_ino}


def allow_descriptors(count):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def open_socket():
    return socket.socket().detach()


def open_at(fd):
    """A socket under this number, and under no other."""
    one = open_socket()
    if one != fd:
        os.dup2(one, fd, inheritable=False)
        os.close(one)
    return held(fd)


def fork(count):
    """A child that holds what this process holds."""
    sockets = [held(open_socket()) for _ in range(count)]
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
        os.close(1)
        while True:
            signal.pause()
    return {"child": child, "sockets": sockets}


def thread(share):
    """A socket of a thread that has a table of descriptors of its own, unless it is to share the process's."""
    found = {}
    ready = threading.Event()

    def run():
        try:
            if not share and libc.unshare(CLONE_FILES) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            found.update(tid=threading.get_native_id(), **open_at(200))
        finally:
            ready.set()
        threading.Event().wait()

    threading.Thread(target=run, daemon=True).start()
    ready.wait()
    if not found:
        sys.exit("the thread failed")
    return found


def in_flight():
    """A socket in a message that nobody has received, and under no number any more."""
    ends = socket.socketpair()
    one = open_socket()
    found = held(one)
    socket.send_fds(ends[0], [b"x"], [one])
    os.close(one)
    kept.extend(ends)
    return [found]


kept = []


def main(do, *numbers):
    numbers = [int(number) for number in numbers]
    allow_descriptors(max([*numbers, 200]) + 100)
    if do == "at":
        return [open_at(fd) for fd in numbers]
    if do == "many":
        return [held(open_socket()) for _ in range(numbers[0])]
    if do == "fork":
        return fork(numbers[0])
    if do == "duplicates":
        one = open_socket()
        return [held(one), *(held(os.dup(one)) for _ in range(numbers[0] - 1))]
    if do == "twice":
        one = open_socket()
        return [held(one), held(os.dup(one))]
    if do == "in-flight":
        return in_flight()
    return thread(do == "shared-thread")


print(json.dumps(main(*sys.argv[1:])), flush=True)
while True:
    signal.pause()
