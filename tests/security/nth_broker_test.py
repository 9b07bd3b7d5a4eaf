#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever call the kernel refuses to the broker, it refuses one start at most, and with one line; it serves the next, or
does not come up and says why. Every call is tried, by number (fail_nth.cc), from its start to the end of a container.
"""
import errno
import os
import signal
import socket
import subprocess
import unittest

import slipway_testing as t
import starts
from left import leave_the_hosts_mounts

FAIL_NTH = str(t.BUILD / "tests/fail_nth")
ERRORS = (errno.ENOMEM, errno.EPERM)
EVERY = 1 if os.environ.get("SLIPWAY_TEST_FULL") else 29


@t.need_root
class EveryCallOfTheBroker(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        leave_the_hosts_mounts()
        cls.site = starts.Site(cls)
        cls.node = starts.Privileges(cls, cls.site)
        cls.brokered = next(way for way in cls.node.ways if way.name == "brokered")
        cls.end(cls.node.processes.pop())  # the broker; the holder stays

    @staticmethod
    def end(process, how=signal.SIGTERM):
        process.send_signal(how)
        process.wait(30)

    def serves(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                return probe.connect(str(self.node.run_dir / "exec.sock")) is None
            except OSError:
                return False

    def broker(self, nth, error):
        """The broker whose nth call is refused, and what will say which that was."""
        told, told_write = os.pipe()
        log = open(self.site.folder / "broker.log", "wb")
        process = subprocess.Popen(["sh", "-c", f'exec "$@" 9>&{told_write}', "sh", FAIL_NTH, str(nth), str(error), "slipway-broker",
                                    t.BIN / "slipway-broker", "--config", self.node.conf],
                                   pass_fds=[told_write], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        os.close(told_write)
        os.set_blocking(told, False)
        log.close()
        return process, told

    @staticmethod
    def heard(told):
        try:
            return os.read(told, 4096).decode().strip()
        except BlockingIOError:
            return ""

    def exec(self):
        user = self.site.user
        return starts.start(self.brokered.argv(self.brokered.digest, self.site.probe()), uid=user.pw_uid, gid=user.pw_gid,
                            env=self.site.env(), cwd="/tmp").finish()

    def once(self, nth, error):
        """(what was refused, what was wrong)."""
        process, told = self.broker(nth, error)
        try:
            t.wait_until("the broker serves or has ended", lambda: process.poll() is not None or self.serves())
            if process.poll() is not None:
                said = (self.site.folder / "broker.log").read_text().splitlines()
                wrong = "" if process.returncode in (1, 125, 126, 127) and said else f"exit code {process.returncode}, {said}"
                return self.heard(told), wrong
            first = self.exec()
            refused = self.heard(told)
            if not refused:
                return "", "" if first.code == 0 else f"nothing was refused: {first}"
            wrong = starts.judge(first)
            if process.poll() is not None:
                return refused, f"the broker ended, {process.returncode}"
            second = self.exec()
            return refused, wrong and f"{wrong}: {first}" or ("" if second.out == "held\n" else f"the next start: {second}")
        finally:
            if process.poll() is None:
                self.end(process, signal.SIGKILL)  # the tracer's end is the end of all that it traces, a moment later
            os.close(told)
            t.wait_until("the broker is gone", lambda: not self.serves())  # or the next one's start would be asked of it

    def test_every_refused_call_costs_one_start_at_most(self):
        left, tried, wrong = self.site.left(), 0, []
        before = None
        for error in ERRORS:
            for nth in range(1, 100_000, EVERY):
                refused, why = self.once(nth, error)
                if not refused:
                    self.assertFalse(why)
                    break
                tried += 1
                before = before or left.before()
                why = why or left.settles(before)
                if why:
                    wrong.append(f"call {nth} ({refused}) refused with {errno.errorcode[error]}: {why}")
        print(f"{tried} calls refused, one at a time")
        self.assertFalse(wrong, "\n" + "\n".join(wrong))
        self.assertGreater(tried * EVERY, 400, "so few calls cannot be a broker's life")


if __name__ == "__main__":
    unittest.main()
