"""redis-cli's prompt: the hint that it shows behind the name of a command, from COMMAND DOCS."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

child, terminal = pty.fork()
if child == 0:
    os.environ["TERM"] = "xterm"
    # A terminal without a size is asked where its cursor is.
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    os.execvp("redis-cli", ["redis-cli", "-p", sys.argv[1]])


def shows(text):
    seen = b""
    end = time.monotonic() + 20
    while text not in seen:
        assert time.monotonic() < end, f"{text} is not in {seen}"
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 4096)


shows(b"> ")
os.write(terminal, b"setex ")
shows(b"key seconds value")
os.write(terminal, b"\x15set k v ")
shows(b"EX seconds")
os.write(terminal, b"\x15object enc")
os.write(terminal, b"\x15client setname ")
shows(b"connection-name")
os.write(terminal, b"\x15exit\r")
os.waitpid(child, 0)
