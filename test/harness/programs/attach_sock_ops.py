"""Attaches a BPF program that does nothing to a control group, as others on a host may: attach_sock_ops.py DIRECTORY FLAGS.

It is there as long as the control group. FLAGS are those of BPF_PROG_ATTACH: 0 keeps inner groups from attaching, 1
(BPF_F_ALLOW_OVERRIDE) gives way to them.
"""

import ctypes
import os
import struct
import sys

SYS_BPF = 321 if os.uname().machine == "x86_64" else 280
BPF_PROG_LOAD, BPF_PROG_ATTACH = 5, 8
BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS = 13, 3

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(144, b"\0"), 144)
    result = libc.syscall(SYS_BPF, command, buffer, 144)
    if result < 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    return result


# r0 = 1; exit
code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0))
license = ctypes.create_string_buffer(b"GPL")
load = struct.pack("<IIQQ", BPF_PROG_TYPE_SOCK_OPS, 2, ctypes.addressof(code), ctypes.addressof(license))
program = bpf(BPF_PROG_LOAD, load)
group = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
bpf(BPF_PROG_ATTACH, struct.pack("<IIII", group, program, BPF_CGROUP_SOCK_OPS, int(sys.argv[2])))
