#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host without an agent: users import images for `exec`, and root takes away what nobody uses."""
import json
import os
import subprocess
import sys
import time
import unittest

import slipway_testing as t

sys.path.insert(0, str(t.SOURCE / "tests/perf"))
import node as perf


@t.need_root
class HostStore(unittest.TestCase):
    def setUp(self):
        self.node = self.enterContext(perf.Node(t.BIN, perf.tiny_image, imports=True))
        self.names = self.node.top / "state/names"

    def gc(self, *options, code=0):
        done = subprocess.run([t.BIN / "slipway", "image", "gc", "--host", "--json", *options], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return [i["digest"] for i in json.loads(done.stdout)["images"]] if code == 0 else done.stderr

    def as_user(self, *argv):
        drop = ["setpriv", f"--reuid={perf.UID}", f"--regid={perf.UID}", "--clear-groups"]
        return subprocess.run([*drop, *argv], capture_output=True, text=True, env=perf.ENV)

    def imported(self, mark):
        """The digest of one more image, imported and run by a user."""
        (self.node.top / "root/etc/mark").write_text(mark)
        path = self.node.top / f"{mark}.sqsh"
        subprocess.run(["mksquashfs", self.node.top / "root", path, "-quiet", "-no-progress", "-all-root"],
                       check=True, stdout=subprocess.DEVNULL)
        before = set(self.stored())
        ran = self.as_user(*self.node.exec("brokered", "--import", str(path), "/bin/sh", "-c", "read -r mark < /etc/mark; echo $mark"))
        self.assertEqual(ran.stdout, mark + "\n", ran.stderr)
        return (set(self.stored()) - before).pop()

    def stored(self):
        names = (n.name for n in (self.node.top / "state/images").iterdir())
        return ["sha256:" + n[7:] for n in names if n.startswith("sha256-") and len(n) == 71]

    def used_days_ago(self, digest, days):
        moment = time.time() - 86400 * days
        os.utime(self.node.top / "state/images" / digest.replace(":", "-"), (moment, moment))

    def test_what_nobody_used_for_long_goes_through_the_broker(self):
        old, young, named = self.imported("old"), self.imported("young"), self.imported("named")
        for digest, days in ((old, 40), (young, 3), (named, 50)):
            self.used_days_ago(digest, days)
        self.names.write_text(f"site {named}\n")
        self.assertEqual(self.gc("--unused", "30d"), [old])
        self.assertIn(old, self.stored(), "it was only looked")
        self.assertEqual(self.gc("--unused", "30d", "--run"), [old])
        self.assertNotIn(old, self.stored())
        self.assertEqual(self.gc("--unused", "30d", "--max", "1", "--run"), [young], "the longest unused make room; the rest is named or fresh")
        self.assertEqual(self.as_user(*self.node.exec("brokered", named, "/bin/true")).returncode, 0)
        left = [n.name for n in (self.node.top / "state/images").iterdir() if old[7:] in n.name or young[7:] in n.name]
        self.assertEqual(left, [])

    def test_without_a_broker_the_files_go(self):
        old = self.imported("old")
        self.node.stop_daemons()  # the broker notes the end of a use a moment after it
        self.used_days_ago(old, 40)
        self.assertEqual(self.gc("--unused", "30d", "--run"), [old])
        self.assertNotIn(old, self.stored())
        refused = self.as_user(self.node.slipway, "image", "gc", "--host", "--run")
        self.assertNotEqual(refused.returncode, 0)


if __name__ == "__main__":
    if os.geteuid() == 0 and "SLIPWAY_OWN_MOUNTS" not in os.environ:
        os.execvpe("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv],
                   dict(os.environ, SLIPWAY_OWN_MOUNTS="1"))
    unittest.main(verbosity=2)
