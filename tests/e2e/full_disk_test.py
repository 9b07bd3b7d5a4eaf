#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up while an image comes in: one line that says so, and the cluster is whole afterwards."""
import os
import pathlib
import subprocess
import unittest

import slipway_testing as t

DISK_BYTES = 512 << 20


@t.need_root
class FullDisk(unittest.TestCase):
    """The whole state of the cluster lies on a small file system of its own."""

    def setUp(self):
        self.account = t.Account("slipway-full")
        self.addCleanup(self.account.remove)
        self.tiny = t.image("tiny")
        # Where root's dev clusters have their state; the name is the one that the cluster will have.
        self.disk = pathlib.Path("/var/lib/slipway/dev") / f"t{os.getpid()}"
        self.disk.mkdir(parents=True)
        self.addCleanup(self.disk.rmdir)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "slipway-full", self.disk], check=True)
        self.addCleanup(subprocess.run, ["umount", self.disk], check=True)
        self.cluster = t.Cluster(nodes=1, user=self.account.entry)
        self.assertEqual(self.cluster.state, self.disk)
        self.addCleanup(self.cluster.down)

    def free(self):
        info = os.statvfs(self.disk)
        return info.f_bavail * info.f_frsize

    def fill(self, leave):
        """A file that takes all but `leave` bytes."""
        filler = self.disk / "filler"
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free() - leave)
        return filler

    def add(self, name):
        return t.run([t.SLIPWAY, "image", "add", self.tiny, name], env={"SLIPWAY_CONTEXT": self.cluster.context})

    def test_an_image_that_does_not_fit_is_refused_in_one_line_and_leaves_nothing(self):
        size = os.path.getsize(self.tiny)
        # Room for a part of the upload; for the upload, but not for what the import makes of it.
        for leave in (size // 2, size + size // 2):
            filler = self.fill(leave)
            before = self.free()
            done = self.add("tiny")
            self.assertNotEqual(done.returncode, 0, f"{leave} bytes were free, {size} came in, {self.free()} are free")
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            self.assertEqual(len(lines), 1, done.stderr)
            self.assertIn("No space left on device", lines[0])
            self.assertEqual(self.cluster.json("image", "ls")["images"], [])
            t.wait_until("what came in is gone", lambda: self.free() > before - (1 << 20), 30)
            filler.unlink()
        self.add("tiny").check_returncode()
        self.cluster("launch", "-n1", "--image", "tiny", "--", "true", check=0)


if __name__ == "__main__":
    unittest.main()
