"""Types commands into a shell on a terminal, and tells what words each was run with once its completions were in place.

Arguments: the shell and its arguments. It has to show PROMPT> when it is ready, and to print the words that a command was
run with between the bytes 2 and 3, a newline behind each. Standard input: the commands, as a JSON array, in which "\\t" is
the Tab key. Standard output: an array of the words of each, in JSON.
"""

import json
import os
import pty
import select
import sys

PATIENCE_S = 60

lines = json.load(sys.stdin)
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])

shown = b""


def wait_for(text):
    """Reads until the text has come; returns what came before it."""
    global shown
    while text not in shown:
        if not select.select([terminal], [], [], PATIENCE_S)[0]:
            sys.exit(f"waited in vain for {text!r}; shown was {shown!r}")
        shown += os.read(terminal, 4096)
    before, _, shown = shown.partition(text)
    return before


ran = []
wait_for(b"PROMPT>")
for line in lines:
    os.write(terminal, line.encode() + b"\r")
    wait_for(b"\2")
    words = wait_for(b"\3").decode().replace("\r\n", "\n")
    ran.append(words.split("\n")[:-1])
os.write(terminal, b"exit\r")
try:
    while os.read(terminal, 4096):
        pass
except OSError:
    pass  # EIO: the other end is closed.
os.waitpid(pid, 0)
json.dump(ran, sys.stdout)
