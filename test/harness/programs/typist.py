"""Types lines into a program on a terminal, one after the other, each when the prompt has come, and prints what is shown.

Arguments: the prompt, then the program and its arguments. Standard input: the lines, as a JSON array; "\\t" is the Tab key.
"""

import json
import os
import pty
import sys

prompt, program, *rest = sys.argv[1:]
lines = json.load(sys.stdin)
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(program, [program, *rest])

shown = b""


def wait_for(text):
    """Reads until the text has come; returns what came."""
    global shown
    while text not in shown:
        data = os.read(terminal, 4096)
        if not data:
            break
        shown += data
    before, _, shown = shown.partition(text)
    return before.decode(errors="replace")


transcript = []
wait_for(prompt.encode())
for line in lines:
    os.write(terminal, line.encode() + b"\r")
    transcript.append(wait_for(prompt.encode()))
os.write(terminal, b"exit\r")
try:
    while os.read(terminal, 4096):
        pass
except OSError:
    pass  # EIO: the terminal's other end is closed.
os.waitpid(pid, 0)
json.dump(transcript, sys.stdout)
