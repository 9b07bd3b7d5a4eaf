# SPDX-License-Identifier: Apache-2.0
"""A person at a terminal: a program on a real pseudo-terminal, what is typed there and what is seen."""
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import slipway_testing as t


class Terminal:
    """A pty with `argv` on it as the session's leader, as a login shell's child would be."""

    def __init__(self, argv, *, user, env, rows=24, columns=80):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        options = {}
        if os.geteuid() != user.pw_uid:
            options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        full = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "PATH": os.environ["PATH"],
                "SHELL": "/bin/sh", "TERM": "xterm", "NO_COLOR": "1", **env}
        self.process = subprocess.Popen([str(a) for a in argv], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        cwd=user.pw_dir, env=full, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **options)
        self.seen = ""

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def look(self, seconds=0.2):
        if select.select([self.master], [], [], seconds)[0]:
            with contextlib.suppress(OSError):
                self.seen += os.read(self.master, 65536).decode(errors="replace")

    def expect(self, text, timeout=60):
        """Reads on until `text` was seen; what came before it is forgotten."""
        deadline = time.monotonic() + timeout
        while text not in self.seen:
            if time.monotonic() > deadline:
                raise AssertionError(f"not seen within {timeout} s: {text!r} in {self.seen!r}")
            self.look()
        at = self.seen.index(text) + len(text)
        before, self.seen = self.seen[:at], self.seen[at:]
        return before

    def wait(self, timeout=60):
        """The exit code; reads on, so that nothing is blocked."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"has not ended within {timeout} s: {self.seen!r}")
            self.look()
        self.look()
        return self.process.returncode

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before


def name(command):
    """The program by one of Slurm's names."""
    return str(t.BIN / command)
