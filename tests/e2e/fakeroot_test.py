#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A root of his own for an ordinary user: a Debian in a folder, changed in place, with the ids that /etc/subuid lends him."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import slipway_testing as t

CONTROL = """Package: slipway-try
Version: 1
Architecture: all
Maintainer: nobody <nobody@localhost>
Description: a package that owns a file as another user
"""
AFTER = """#!/bin/sh
set -e
chown daemon:daemon /opt/try
"""


class Fakeroot(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("an account of the test's own takes root")
        cls.account = t.Account()
        cls.addClassCleanup(cls.account.remove)
        cls.user = cls.account.entry
        lent = all(any(line.startswith(cls.user.pw_name + ":") for line in pathlib.Path(f"/etc/{name}").read_text().splitlines())
                   for name in ("subuid", "subgid") if pathlib.Path(f"/etc/{name}").exists())
        if not lent or not shutil.which("newuidmap"):
            raise unittest.SkipTest("this host lends no ids to new accounts (useradd), or has no newuidmap (uidmap)")
        cls.sif = t.image("tiny")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="slipway-e2e-", dir=cls.user.pw_dir))
        os.chown(cls.folder, cls.user.pw_uid, cls.user.pw_gid)
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.box = cls.folder / "box"

    def slipway(self, *argv, **options):
        return t.run([t.SLIPWAY, *argv], user=self.user, timeout=300, **options)

    def package(self):
        tree = self.folder / "package"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "opt").mkdir()
        (tree / "opt/try").write_text("x\n")
        (tree / "DEBIAN/control").write_text(CONTROL)
        (tree / "DEBIAN/postinst").write_text(AFTER)
        (tree / "DEBIAN/postinst").chmod(0o755)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, self.folder / "try.deb"], check=True, stdout=subprocess.DEVNULL)

    def test_a_package_is_installed_into_a_folder(self):
        # A copy with every owner: as root inside, who sees the image's owners as they are.
        self.slipway("exec", "--fakeroot", "--no-home", "--bind", f"{self.folder}:/to", self.sif, "sh", "-c", "mkdir /to/box && cp -ax /bin /etc "
                     "/lib /lib64 /opt /root /sbin /usr /var /to/box/ && mkdir /to/box/proc /to/box/sys /to/box/dev /to/box/tmp", check=0)
        self.package()
        done = self.slipway("exec", "--fakeroot", "--writable", "--home", f"{self.folder}:/root", self.box, "sh", "-c",
                            "whoami && DEBIAN_FRONTEND=noninteractive apt-get install -y /root/try.deb && stat -c %U /opt/try")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.split()
        self.assertEqual((lines[0], lines[-1]), ("root", "daemon"))
        self.assertGreaterEqual((self.box / "opt/try").stat().st_uid, 65536)  # one of the lent ones
        self.assertIn("slipway-try", (self.box / "var/lib/dpkg/status").read_text())

    def test_a_build_that_is_interrupted_leaves_nothing(self):
        recipe, scratch = self.folder / "endless.def", self.folder / "scratch"
        scratch.mkdir()
        os.chown(scratch, self.user.pw_uid, self.user.pw_gid)
        recipe.write_text(f"Bootstrap: localimage\nFrom: {self.sif}\n%post\n  for n in 1 2 3 4; do\n    "
                          "while :; do mkdir -p /junk/$n; echo x > /junk/$n/x; done &\n  done\n  echo begun\n  wait\n")
        first, count = next(map(int, line.split(":")[1:]) for line in pathlib.Path("/etc/subuid").read_text().splitlines()
                            if line.startswith(self.user.pw_name + ":"))
        owners = {self.user.pw_uid, *range(first, first + count)}
        building = subprocess.Popen(
            [t.SLIPWAY, "build", "--no-cache", "out.sif", recipe], cwd=self.folder, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, user=self.user.pw_uid, group=self.user.pw_gid, extra_groups=[],
            env={"HOME": self.user.pw_dir, "TMPDIR": str(scratch), "PATH": os.environ["PATH"]})
        said = []
        for line in building.stdout:
            said.append(line)
            if "begun" in line:
                os.killpg(building.pid, signal.SIGINT)  # as a terminal's Ctrl-C does
        self.assertEqual(building.wait(), 130, said)
        self.assertEqual(([], False), (list(scratch.iterdir()), (self.folder / "out.sif").exists()))
        # One that was killed may still be on its way out; those that nobody ended would loop for ever.
        t.wait_until("no process of the build is left",
                     lambda: not any(t.owner_of(proc) in owners for proc in pathlib.Path("/proc").glob("[0-9]*")), 20)



if __name__ == "__main__":
    unittest.main()
