#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The starter believes nothing that comes on its control socket: a spec that could still change is refused, a mangled
one says so in one line, and whatever is sent, the container's init ends and nothing is left.
"""
import array
import contextlib
import fcntl
import os
import pathlib
import random
import select
import socket
import struct
import unittest

import slipway_testing as t
import starts
from left import leave_the_hosts_mounts

LAUNCH, FDS, SIGNAL, RUN_TASK, FINISH, HOOKS_RAN = range(1, 7)
READY, STARTED, EXITED, FAILED, WARNING = range(16, 21)
REFUSED, BORN = "refused", "born"  # of the setuid way, before the spec is asked for
ADD_SEALS, SEAL_SEAL, SEAL_SHRINK, SEAL_GROW, SEAL_WRITE, SEAL_FUTURE_WRITE = 1033, 1, 2, 4, 8, 16
ALL = SEAL_SEAL | SEAL_SHRINK | SEAL_GROW | SEAL_WRITE

# In the starter's place: writes down the spec that the real front made.
NOTE_THE_SPEC = """#!/usr/bin/python3 -I
import os, socket, sys
s = socket.socket(fileno=int(sys.argv[2]))
message, fds, _, _ = socket.recv_fds(s, 1 << 16, 300)
open(os.environ["NOTE"] + "/frame", "wb").write(message)
size = os.fstat(fds[0]).st_size
open(os.environ["NOTE"] + "/spec", "wb").write(os.pread(fds[0], size, 0))
"""


def memfd(content, seals=ALL, size=None):
    fd = os.memfd_create("spec", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, content)
    if size is not None:
        os.ftruncate(fd, size)
    fcntl.fcntl(fd, ADD_SEALS, seals)
    return fd


@t.need_root
class TheControlSocket(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        leave_the_hosts_mounts()
        cls.site = starts.Site(cls)
        cls.verbs = ["rootless"]
        cls.way = starts.Way(cls.site)
        if starts.knows_ways():
            starts.Privileges(cls, cls.site)
            cls.verbs.append("exec")
        cls.frame, cls.spec = cls.spec_of_the_front()

    @classmethod
    def spec_of_the_front(cls):
        folder = cls.site.folder / "note"
        folder.mkdir()
        (folder / "slipway").write_bytes(pathlib.Path(cls.site.slipway).read_bytes())
        (folder / "slipway-starter").write_text(NOTE_THE_SPEC)
        for name in ("slipway", "slipway-starter"):
            os.chmod(folder / name, 0o755)
        noted = cls.site.folder / "noted"
        noted.mkdir()
        os.chown(noted, cls.site.user.pw_uid, cls.site.user.pw_gid)
        words = ["--way", "rootless"] if len(cls.verbs) > 1 else []
        argv = [str(folder / "slipway"), "exec", *words, "--contain", str(cls.site.tree), *cls.site.probe()]
        starts.start(argv, uid=cls.site.user.pw_uid, gid=cls.site.user.pw_gid, env=[*cls.site.env(), f"NOTE={noted}"], cwd="/tmp").finish()
        return (noted / "frame").read_bytes(), (noted / "spec").read_bytes()

    def talk(self, verb, messages, more=(), twist=None):
        """Sends each (bytes, descriptors); returns what the init said, the frames by kind, and the program's end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            image = os.open(self.site.tree, os.O_PATH | os.O_DIRECTORY)
            argv = [str(self.site.bin / "slipway-starter"), verb, str(theirs.fileno())]
            running = starts.start(argv, uid=self.site.user.pw_uid, gid=self.site.user.pw_gid, env=self.site.env(), cwd="/tmp", keep=(theirs.fileno(), *more), twist=twist)
            theirs.close()
            frames = {}
            for message, fds in [*messages, (struct.pack("<H", FDS), [image])]:
                try:
                    ours.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
                except OSError:
                    break
            os.close(image)
            waits = True
            while True:
                # One that waits for more than it will get (descriptors that a mangled spec names) is told that we go.
                ready, _, _ = select.select([ours], [], [], 3 if waits else 60)
                if not ready:
                    self.assertTrue(waits, "it does not end though its socket was closed")
                    waits = False
                    ours.shutdown(socket.SHUT_WR)
                    continue
                try:
                    data = ours.recv(1 << 16)
                except ConnectionResetError:
                    continue  # it left something of ours unread; what it said before is still to be had
                if not data:
                    break
                kind = struct.unpack_from("<H", data)[0]
                frames.setdefault(kind, []).append(data[2:])
                waits = waits and kind != READY
                if kind == EXITED:
                    ours.shutdown(socket.SHUT_WR)
        return frames, running.finish()

    def refused(self, what, verb, messages, *words):
        with self.subTest(f"{what}, {verb}"):
            before = self.site.left().before()
            frames, ended = self.talk(verb, messages)
            self.assertNotIn(READY, frames, "it was believed")
            self.assertEqual(ended.out, "")
            self.assertEqual(ended.code, 125, ended)
            self.assertIn(FAILED, frames, ended)
            code, size = struct.unpack_from("<iI", frames[FAILED][0])
            said = frames[FAILED][0][8:8 + size].decode(errors="replace")
            self.assertEqual(code, 125)
            self.assertNotIn("\n", said)
            for word in words:
                self.assertIn(word, said)
            self.assertEqual(self.site.left().settles(before), "")

    def own(self, fd):
        self.addCleanup(os.close, fd)
        return fd

    def test_the_spec_of_the_front_is_taken(self):
        for verb in self.verbs:
            frames, ended = self.talk(verb, [(self.frame, [self.own(memfd(self.spec))])])
            self.assertIn(READY, frames, (frames, ended))
            self.assertEqual(ended.out, "held\n", ended)

    def test_what_else_the_starter_was_given_is_not_seen_inside(self):
        """The front closes what it does not give; the starter does not rest on that."""
        folder = self.own(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
        for verb in self.verbs:
            frames, ended = self.talk(verb, [(self.frame, [self.own(memfd(self.spec))])], more=(folder,))
            self.assertEqual((ended.code, ended.out), (0, "held\n"), (frames, ended))

    def test_streams_that_it_was_not_given_are_no_others(self):
        """What is opened next would take their numbers, and get what is said there."""
        for verb in self.verbs:
            for closed in ((0,), (1, 2), (0, 1, 2)):
                frames, ended = self.talk(verb, [(self.frame, [self.own(memfd(self.spec))])], twist=lambda c=closed: [os.close(fd) for fd in c])
                self.assertEqual(ended.code, 0, (verb, closed, frames, ended))

    def test_one_that_can_still_change_is_refused(self):
        for verb in self.verbs:
            for name, seals in (("none", 0), ("no write seal", ALL & ~SEAL_WRITE), ("no grow seal", ALL & ~SEAL_GROW), ("no shrink seal", ALL & ~SEAL_SHRINK),
                                ("seals can be added", ALL & ~SEAL_SEAL), ("future writes only", ALL & ~SEAL_WRITE | SEAL_FUTURE_WRITE)):
                self.refused(name, verb, [(self.frame, [self.own(memfd(self.spec, seals))])], "not a sealed memfd")

    def test_what_is_no_memfd_is_refused(self):
        path = self.site.folder / "spec"
        path.write_bytes(self.spec)
        read, write = os.pipe()
        self.own(write)
        a, b = socket.socketpair()
        self.addCleanup(a.close)
        self.addCleanup(b.close)
        others = {"a file": os.open(path, os.O_RDONLY), "a device": os.open("/dev/zero", os.O_RDONLY), "a pipe": read, "a folder": os.open("/", os.O_RDONLY),
                  "a path only": os.open(path, os.O_PATH), "a process": os.pidfd_open(os.getpid()), "a socket": os.dup(a.fileno())}
        for name, fd in others.items():
            self.own(fd)
            for verb in self.verbs:
                self.refused(name, verb, [(self.frame, [fd])])

    def test_sizes(self):
        for verb in self.verbs:
            self.refused("empty", verb, [(self.frame, [self.own(memfd(b""))])])
            self.refused("sparse and huge", verb, [(self.frame, [self.own(memfd(self.spec, ALL, 1 << 40))])])
            self.refused("zeros", verb, [(self.frame, [self.own(memfd(bytes(1 << 20)))])])
            self.refused("no descriptor", verb, [(self.frame, [])])
            self.refused("two", verb, [(self.frame, [self.own(memfd(self.spec))] * 2)])
            self.refused("as many as go", verb, [(self.frame, [self.own(memfd(self.spec))] * 253)])
            self.refused("all ones", verb, [(self.frame, [self.own(memfd(b"\xff" * len(self.spec)))])])

    def test_frames(self):
        for verb in self.verbs:
            for kind in (0, FDS, SIGNAL, RUN_TASK, FINISH, HOOKS_RAN, READY, EXITED, FAILED, 65535):
                self.refused(f"frame {kind} first", verb, [(struct.pack("<H", kind), [self.own(memfd(self.spec))])])
            for message in (b"\x01", b"\x01\0", self.frame[:-1], self.frame + b"\0", struct.pack("<HI", LAUNCH, 2) + b"\0", b"\xff" * 60_000):
                self.refused(f"{message[:8]!r}", verb, [(message, [self.own(memfd(self.spec))])])

    def test_mangled_specs(self):
        """Cut short everywhere and changed anywhere: it is refused, or what runs holds; a crash is neither."""
        dice = random.Random(20261126)
        rounds = 400 if os.environ.get("SLIPWAY_TEST_FULL") else 60
        for verb in self.verbs:
            before = self.site.left().before()
            for _ in range(rounds):
                at = dice.randrange(len(self.spec))
                if dice.random() < 0.3:
                    mangled = self.spec[:at]
                else:
                    mangled = bytearray(self.spec)
                    for _ in range(dice.choice((1, 1, 2, 8))):
                        mangled[dice.randrange(len(mangled))] = dice.choice((0, 1, 0x7f, 0x80, 0xff, dice.randrange(256)))
                with self.subTest(f"{verb} {bytes(mangled).hex()}"):
                    frames, ended = self.talk(verb, [(self.frame, [self.own(memfd(bytes(mangled)))])])
                    self.assertIn(ended.code, (0, 1, 125, 126, 127), ended)
                    self.assertTrue(READY in frames or FAILED in frames, ended)
                    # The probe's own words may be what was mangled: whose ids it expects, which file it tries.
                    gains = [line for line in ended.out.splitlines() if line.startswith("gained: ") and "another's" not in line]
                    self.assertEqual(gains, [], ended)
            self.assertEqual(self.site.left().settles(before), "")

    def test_a_caller_that_says_nothing_and_goes(self):
        for verb in self.verbs:
            before = self.site.left().before()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            running = starts.start([str(self.site.bin / "slipway-starter"), verb, str(theirs.fileno())], uid=self.site.user.pw_uid, gid=self.site.user.pw_gid,
                                   cwd="/tmp", keep=(theirs.fileno(), ours.fileno()))  # which keeps the socket open unless it closes ours
            theirs.close()
            select.select([ours], [], [], 0.2)
            ours.close()
            self.assertEqual(running.finish().code, 125)
            self.assertEqual(self.site.left().settles(before), "")


if __name__ == "__main__":
    unittest.main()
