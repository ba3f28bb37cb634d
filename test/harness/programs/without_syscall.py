"""Runs a program on a kernel that lacks something: usage without_syscall.py NUMBER[:INDEX=VALUE] ERRNO COMMAND [ARG...]

A seccomp filter makes system call NUMBER fail with ERRNO, whenever its argument at INDEX is VALUE if those are given,
as a container's seccomp profile or a kernel without the feature does. With KILL for ERRNO it kills who makes the call, as
systemd's SystemCallFilter= does.
"""

import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
RETURN_ALLOW, RETURN_ERRNO, RETURN_KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
OFFSET_OF_ARGUMENTS = 16

number, _, condition = sys.argv[1].partition(":")
failure = RETURN_KILL_PROCESS if sys.argv[2] == "KILL" else RETURN_ERRNO | getattr(errno, sys.argv[2])
conditions = [(0, int(number))]
if condition:
    index, _, value = condition.partition("=")
    conditions.append((OFFSET_OF_ARGUMENTS + 8 * int(index), int(value)))

program = []
for i, (offset, value) in enumerate(conditions):
    to_allow = 2 * (len(conditions) - i - 1) + 1
    program += [(LOAD, 0, 0, offset), (JUMP_IF_EQUAL, 0, to_allow, value)]
program += [(RETURN, 0, 0, failure), (RETURN, 0, 0, RETURN_ALLOW)]

code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
sock_fprog = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
for arguments in [(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, sock_fprog, 0, 0)]:
    if libc.prctl(*arguments) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[3], sys.argv[3:])
