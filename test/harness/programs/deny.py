"""Runs a command to which one system call is denied, as container runtimes do: deny.py NUMBER ERRNO COMMAND [ARG...].

Where "kill" stands for the errno, who makes the call is killed, as units of systemd have it.
"""

import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000

number = int(sys.argv[1])
answer = KILL_PROCESS if sys.argv[2] == "kill" else ERRNO | int(sys.argv[2])
instructions = [
    (LOAD, 0, 0, 0),
    (JUMP_IF_EQUAL, 0, 1, number),
    (RETURN, 0, 0, answer),
    (RETURN, 0, 0, ALLOW),
]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in instructions))
fprog = struct.pack("HxxxxxxQ", len(instructions), ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
# A process that may not call seccomp(2) may still call prctl(2), which is older.
for call in [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog)]:
    if libc.prctl(*call) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[3], sys.argv[3:])
