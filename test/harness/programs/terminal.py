"""A terminal with a program on it, driven line by line, in JSON.

The arguments are the terminal's columns and rows, and the program with its own. Each line of standard input is a command,
{"do": "type", ...}; each is answered by one line, {"reply": ...} or {"error": "..."}.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

# How long to wait for what is certain to come unless something is broken.
PATIENCE_S = 120


class Terminal:
    def __init__(self, columns, rows, command):
        # The program starts when the terminal has its size.
        ready, go = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.read(ready, 1)
            os.execvp(command[0], command)
        self.output = b""
        self.seen = 0
        self.do_resize(columns, rows)
        os.write(go, b".")

    def read(self, deadline):
        """Takes in some output; returns whether there can be more."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"waited in vain; the output so far: {self.output.decode(errors='replace')!r}")
        if not select.select([self.fd], [], [], left)[0]:
            return True
        try:
            chunk = os.read(self.fd, 65536)
        except OSError:
            return False  # EIO: nobody has the terminal open any more.
        self.output += chunk
        return chunk != b""

    def wait(self, deadline):
        """The program's exit status, negative for a signal."""
        while (status := os.waitpid(self.pid, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                raise TimeoutError("the program does not end")
            time.sleep(0.02)
        return os.waitstatus_to_exitcode(status[1])

    def do_resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def do_type(self, text):
        os.write(self.fd, text.encode())

    def do_expect(self, text):
        """Waits until a text has come after the one that was last expected; returns the output up to and with it."""
        deadline = time.monotonic() + PATIENCE_S
        while (at := self.output.find(text.encode(), self.seen)) < 0:
            if not self.read(deadline):
                raise EOFError(f"the program ended, having written {self.output.decode(errors='replace')!r}")
        self.seen = at + len(text.encode())
        return self.output[: self.seen].decode(errors="replace")

    def do_hang_up(self):
        """Closes the terminal, as when its window is closed; returns the program's exit status."""
        os.close(self.fd)
        return self.wait(time.monotonic() + PATIENCE_S)

    def do_kill(self, name):
        os.kill(self.pid, signal.Signals[name])

    def do_end(self):
        """Waits for the program's end; returns its exit status and all of its output."""
        deadline = time.monotonic() + PATIENCE_S
        while self.read(deadline):
            pass
        return {"code": self.wait(deadline), "output": self.output.decode(errors="replace")}


if __name__ == "__main__":
    terminal = Terminal(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    try:
        for line in sys.stdin:
            command = json.loads(line)
            try:
                answer = {"reply": getattr(terminal, "do_" + command.pop("do"))(**command)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)
    finally:
        try:
            os.kill(terminal.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
