#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Paths that change between check and use: the caller, or another process of his, exchanges image, bind source and mount
point while containers are made. What he may not read or bind he never gets, and nothing is mounted outside.
"""
import contextlib
import ctypes
import os
import signal
import subprocess
import unittest

import slipway_testing as t
import starts
from left import leave_the_hosts_mounts

ROUNDS = 200 if os.environ.get("SLIPWAY_TEST_FULL") else 25
RENAME_EXCHANGE, AT_FDCWD = 2, -100


@contextlib.contextmanager
def exchanging(user, one, other):
    """Another process of the user exchanges the two names, atomically, as fast as it can."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
            os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
            a, b = os.fsencode(one), os.fsencode(other)
            while starts.LIBC.renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0:
                pass
        finally:
            os._exit(ctypes.get_errno() or 1)
    try:
        yield
        ended, _ = os.waitpid(pid, os.WNOHANG)
        assert ended == 0, "nothing was exchanged"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


@t.need_root
class ExchangedPaths(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        leave_the_hosts_mounts()
        cls.site = starts.Site(cls)
        cls.forbidden = cls.site.folder / "forbidden"  # everybody may read it, nobody may bind it
        cls.forbidden.mkdir()
        (cls.forbidden / "name").write_text("the forbidden one\n")
        cls.elsewhere = cls.site.folder / "elsewhere"  # images of which nobody may run any
        cls.elsewhere.mkdir()
        cls.allowed = cls.site.folder / "images"
        cls.allowed.mkdir()
        conf = f"forbid_bind = {cls.forbidden}\nlimit_paths = {cls.allowed}\n"
        cls.ways = [starts.Way(cls.site)]
        if starts.knows_ways():
            cls.ways[0].words = ("--way", "rootless")
            cls.ways += starts.Privileges(cls, cls.site, conf).ways
        cls.places = cls.site.folder / "places"
        cls.places.mkdir()
        for folder in (cls.places, cls.allowed, cls.elsewhere):
            os.chown(folder, cls.site.user.pw_uid, cls.site.user.pw_gid)
        # Two images that differ in what they show.
        for folder in (cls.allowed, cls.elsewhere):
            tree = folder / "tree"
            subprocess.run(["cp", "-a", cls.site.tree, tree], check=True)
            (tree / "name").write_text(f"of {folder.name}\n")
        for way in cls.ways:  # the broker keeps what it has mounted once
            assert cls.start(way, cls.image_of(way), cls.site.probe()).code == 0

    @classmethod
    def start(cls, way, image, command, options=()):
        user = cls.site.user
        return starts.start(way.argv(image, command, options), uid=user.pw_uid, gid=user.pw_gid, env=cls.site.env(), cwd="/tmp").finish()

    def race(self, way, one, other, start):
        """How often each outcome came; nothing may be left."""
        before, seen = self.site.left().before(), {}
        with exchanging(self.site.user, one, other):
            for _ in range(ROUNDS):
                ended = start()
                self.assertIn(ended.code, (0, 125), ended)
                key = ended.out if ended.code == 0 else "refused"
                seen[key] = seen.get(key, 0) + 1
        self.assertEqual(self.site.left().settles(before), "")
        print(way.name, self._testMethodName, seen)
        return set(seen)

    @classmethod
    def image_of(cls, way):
        return getattr(way, "digest", "") or cls.allowed / "tree"

    def pair(self, name, first, second):
        for link, to in ((name, first), (f"{name}-other", second)):
            path = self.places / link
            if not path.is_symlink():
                path.symlink_to(to)
                os.lchown(path, self.site.user.pw_uid, self.site.user.pw_gid)
        return self.places / name, self.places / f"{name}-other"

    def test_a_bind_source_that_becomes_a_forbidden_folder(self):
        fine = self.places / "fine"
        fine.mkdir()
        (fine / "name").write_text("the allowed one\n")
        one, other = self.pair("bind", fine, self.forbidden)
        for way in self.ways:
            if not starts.knows_ways():
                continue  # no policy to be walked round
            with self.subTest(way.name):
                seen = self.race(way, one, other, lambda w=way: self.start(w, self.image_of(w), ["/bin/probe", "show", "/x/name"],
                                                                           ["--contain", "--bind", f"{one}:/x"]))
                self.assertLessEqual(seen, {"the allowed one\n", "refused"})
                self.assertIn("refused", seen, "it was never exchanged in time: no race was tried")

    def test_a_bind_source_that_becomes_anothers_secret(self):
        mine = self.places / "mine"
        mine.write_text("mine\n")
        one, other = self.pair("file", mine, self.site.secret)
        for way in self.ways:
            with self.subTest(way.name):
                seen = self.race(way, one, other, lambda w=way: self.start(w, self.image_of(w), ["/bin/probe", "show", "/tmp/x"],
                                                                           ["--contain", "--bind", f"{one}:/tmp/x"]))
                self.assertLessEqual(seen, {"mine\n", "none\n", "refused"})

    def test_an_image_that_becomes_one_from_a_forbidden_place(self):
        one, other = self.pair("image", self.allowed / "tree", self.elsewhere / "tree")
        for way in self.ways:
            if not starts.knows_ways():
                continue
            with self.subTest(way.name):
                seen = self.race(way, one, other, lambda w=way: self.start(w, one, ["/bin/probe", "show", "/name"], ["--contain"]))
                self.assertLessEqual(seen, {"of images\n", "refused"})
                self.assertIn("refused", seen)

    def test_a_mount_point_that_becomes_a_link_out_of_the_image(self):  # runc's CVE-2021-30465, CVE-2019-19921
        """The image is a folder of the caller's; its mount point is now a folder, now a link to the host's /etc."""
        tree = self.allowed / "changing"
        subprocess.run(["cp", "-a", self.allowed / "tree", tree], check=True)
        subprocess.run(["chown", "-R", f"{self.site.user.pw_uid}:{self.site.user.pw_gid}", tree], check=True)
        one, other = tree / "point", tree / "other"
        one.mkdir()
        other.symlink_to("../../../../../../../../etc")
        for path in (one, other):
            os.lchown(path, self.site.user.pw_uid, self.site.user.pw_gid)
        hosts = os.stat("/etc").st_ino
        for way in self.ways:
            with self.subTest(way.name):
                probe = self.site.probe()
                seen = self.race(way, one, other, lambda w=way, p=probe: self.start(w, tree, p, ["--contain", "--bind", f"{self.places}:/point"]))
                self.assertLessEqual(seen, {"held\n", "refused"})
                self.assertEqual(os.stat("/etc").st_ino, hosts)


if __name__ == "__main__":
    unittest.main()
