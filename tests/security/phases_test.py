#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A start that is killed or stopped in the middle: at which call ever, nothing is left; and while a privileged half is
stopped there, neither its caller nor another user gets hold of it or of the half-made container.

Places are system calls, counted by fail_nth.cc.
"""
import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import unittest

import slipway_testing as t
import starts
from left import leave_the_hosts_mounts

FAIL_NTH = str(t.BUILD / "tests/fail_nth")
EVERY = 1 if os.environ.get("SLIPWAY_TEST_FULL") else 11
PTRACE_SEIZE, PTRACE_ATTACH = 0x4206, 16
PIDFD_GETFD, PROCESS_VM_READV = 438, 310
CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWIPC = 0x10000000, 0x20000, 0x20000000, 0x08000000


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def tries(pid):
    """What succeeded of all that could give one process power over another. Signals are no such power."""
    libc, gained = starts.LIBC, []
    libc.prctl(4, 1, 0, 0, 0)  # we ourselves are to be an ordinary process
    # What can be opened is had through the descriptor; of the others only what they give when read. (An owner may open
    # more of his process's files, list its descriptors' numbers and set its oom_score_adj: nothing of that is power.)
    for name, flags in (("mem", os.O_RDWR), ("fd/0", os.O_RDONLY), ("fd/3", os.O_RDONLY), ("root", os.O_RDONLY), ("cwd", os.O_RDONLY),
                        ("exe", os.O_RDONLY), ("ns/user", os.O_RDONLY), ("ns/mnt", os.O_RDONLY), ("ns/pid", os.O_RDONLY), ("ns/ipc", os.O_RDONLY)):
        with contextlib.suppress(OSError):
            os.close(os.open(f"/proc/{pid}/{name}", flags | os.O_NONBLOCK))
            gained.append(f"{name} opened")
    for name in ("environ", "maps", "auxv", "syscall", "stack"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
            if file.read(1):
                gained.append(f"{name} read")
    for request in (PTRACE_SEIZE, PTRACE_ATTACH):
        if libc.ptrace(request, pid, None, None) == 0:
            gained.append("traced")
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return gained
    for fd in range(16):
        if libc.syscall(PIDFD_GETFD, pidfd, fd, 0) >= 0:
            gained.append(f"its descriptor {fd}")
    for kind in (CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID):
        if libc.setns(pidfd, kind) == 0:
            gained.append(f"its namespace {kind:x}")
    there = ctypes.create_string_buffer(8)
    local, remote = Vector(ctypes.cast(there, ctypes.c_void_p), 8), Vector(0x400000, 8)
    if libc.syscall(PROCESS_VM_READV, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) > 0:
        gained.append("its memory")
    return gained


def as_user(user, action):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
            os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
            os.write(write, "\n".join(action()).encode())
        except BaseException as error:  # anything but silence: a test that did not run must not pass
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return said


@t.need_root
class Phases(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        leave_the_hosts_mounts()
        cls.site = starts.Site(cls)
        cls.ways = starts.ways(cls, cls.site)
        for way in cls.ways:
            for image in way.images().values():
                done = cls.begin(0, "kill", way, image)
                assert done.finish().code == 0

    @classmethod
    def begin(cls, nth, deed, way, image, counted="slipway-starter", told=None):
        """As root, so that a set-id program keeps its rights under the tracer; setpriv becomes the user."""
        user = cls.site.user
        words = ["/bin/sh", "-c", f'exec "$@" {f"9>&{told}" if told is not None else ""}', "sh", FAIL_NTH, str(nth), deed, counted, "/usr/bin/setpriv",
                 f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *way.argv(image, cls.site.probe())]
        return starts.start(words, uid=0, gid=0, env=cls.site.env(), cwd=user.pw_dir, keep=() if told is None else (told,))

    def places(self, deed, way, image, counted, judge):
        """judge(what was reached, the running start) at every EVERY-th call; what it says must be empty."""
        wrong, tried = [], 0
        before = self.site.left().before()
        for nth in range(1, 100_000, EVERY):
            told, told_end = os.pipe()
            running = self.begin(nth, deed, way, image, counted, told_end)
            os.close(told_end)
            with os.fdopen(told) as words:
                reached = words.readline().split()
            if not reached:
                self.assertEqual(running.finish().code, 0)
                break
            tried += 1
            why = judge(reached, running)
            stays = self.site.left().settles(before)
            if why or stays:
                wrong.append(f"call {nth} ({' '.join(reached)}): {why} {stays}")
        print(f"{deed} {counted}, {way.name}, {image}: {tried} places")
        self.assertFalse(wrong, "\n" + "\n".join(wrong))
        return tried

    def test_killed_at_any_call(self):
        for way in self.ways:
            for counted in ("slipway", "slipway-starter"):
                if counted == "slipway-starter" and way.name == "brokered":
                    continue  # none takes part
                for image in way.images().values():
                    with self.subTest(f"{way.name} {counted} {image}"):
                        def judge(_reached, running):
                            ended = running.finish()
                            return starts.judge(ended) if ended.code in (0, 125, 126, 127) else ""
                        self.assertGreater(self.places("kill", way, image, counted, judge), 3)

    def test_refused_any_call_it_ends_in_one_line(self):
        """The privileged way through; the rootless one is nth_call_test.py's."""
        for way in self.ways:
            def judge(_reached, running):
                ended = running.finish()
                # What it is told before it can speak on its socket, it says on stderr; the front then says so.
                if "its words are above" in ended.err:
                    ended.err = ended.err.partition("\n")[2]
                return starts.judge(ended)
            if way.name == "setuid":
                for image in way.images().values():
                    for error in (errno.ENOMEM, errno.EPERM):
                        with self.subTest(f"{image} {error}"):
                            self.assertGreater(self.places(str(error), way, image, "slipway-starter", judge), 3)

    def test_stopped_at_any_call_nobody_gets_hold_of_it(self):
        for way in self.ways:
            if way.name == "brokered":
                continue
            for image in way.images().values():
                with self.subTest(f"{way.name} {image}"):
                    # What a user's own namespace holds is his own anyway: there only the others are kept out.
                    hunters = [self.site.other] if way.name == "rootless" else [self.site.user, self.site.other]
                    self.assertGreater(self.places("stop", way, image, "slipway-starter", lambda r, s, h=hunters: self.hunt(r, s, h)), 3)

    def test_the_hunters_catch_what_is_not_protected(self):
        sleeper = starts.start([str(self.site.tree / "bin/probe"), "wait"], uid=self.site.user.pw_uid, gid=self.site.user.pw_gid)
        try:
            t.wait_until("it waits", lambda: os.readlink(f"/proc/{sleeper.pid}/exe").endswith("probe"))
            said = as_user(self.site.user, lambda: tries(sleeper.pid))
            for what in ("mem opened", "maps read", "traced", "its descriptor 0", "its memory", "fd/0 opened", "root opened"):
                self.assertIn(what, said)
            self.assertIn("SIGSTOP", as_user(self.site.user, lambda: self.signals(sleeper.pid)))
            self.assertEqual(as_user(self.site.other, lambda: tries(sleeper.pid)), "")
        finally:
            os.kill(sleeper.pid, signal.SIGKILL)
            sleeper.finish()

    def hunt(self, reached, running, hunters):
        pid = int(reached[2])
        t.wait_until("it is stopped", lambda: self.state(pid) in "TZX", 20)
        gained = [f"{who.pw_name}: {said}" for who in hunters if (said := as_user(who, lambda: tries(pid)))]
        # The caller goes away while it stands still; then it may go on.
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        running.finish()
        return "; ".join(gained)

    @staticmethod
    def state(pid):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]
        return "X"

    def test_a_stop_by_the_caller_does_not_reach_what_runs_as_root(self):
        """Held open for ever, a half-made container of root's would be the caller's to keep."""
        for way in self.ways:
            if way.name != "setuid":
                continue
            image = way.images()["store"]
            reached_root = 0
            for nth in range(1, 100_000, EVERY):
                told, told_end = os.pipe()
                running = self.begin(nth, "stop", way, image, "slipway-starter", told_end)
                os.close(told_end)
                with os.fdopen(told) as words:
                    reached = words.readline().split()
                if not reached:
                    running.finish()
                    break
                pid = int(reached[2])
                t.wait_until("it is stopped", lambda: self.state(pid) in "TZX", 20)
                with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as status:
                    uids = next(line for line in status if line.startswith("Uid:")).split()[1:]
                    if uids[0] == uids[2] == "0":
                        reached_root += 1
                        said = as_user(self.site.user, lambda: self.signals(pid))
                        self.assertEqual(said, "", reached)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(running.pid, signal.SIGKILL)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                running.finish()
            self.assertGreater(reached_root, 0, "it never ran as root: look for another place to stop it")

    @staticmethod
    def signals(pid):
        sent = []
        for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM):
            with contextlib.suppress(OSError):
                os.kill(pid, number)
                sent.append(number.name)
        return sent


if __name__ == "__main__":
    unittest.main()
