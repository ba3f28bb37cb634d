# A name server that fails as no real one does on request: dns.py ADDRESS A AAAA, where A and AAAA are the address with which
# it answers such a question for any name, none (there is no such record), fail (SERVFAIL) or mute (no answer at all).
import socket
import struct
import sys

A, AAAA, SERVFAIL = 1, 28, 2
answers = {A: sys.argv[2], AAAA: sys.argv[3]}
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    query, client = server.recvfrom(512)
    end = query.index(b"\0", 12) + 5
    (kind,) = struct.unpack(">H", query[end - 4 : end - 2])
    answer = answers.get(kind, "none")
    if answer == "mute":
        continue
    family = socket.AF_INET if kind == A else socket.AF_INET6
    data = b"" if answer in ("none", "fail") else socket.inet_pton(family, answer)
    record = struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(data)) + data if data else b""
    header = query[:2] + struct.pack(">HHHHH", 0x8180 | (SERVFAIL if answer == "fail" else 0), 1, bool(data), 0, 0)
    server.sendto(header + query[12:end] + record, client)
