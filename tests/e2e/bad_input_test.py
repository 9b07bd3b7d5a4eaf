#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What users get wrong: one clear line, the right exit code, nothing half-made."""
import unittest

import slipway_testing as t


class BadInput(t.ClusterTest):
    """One clear line, the right exit code, nothing half-made."""
    NODES = 2

    def refused(self, done, *words):
        self.assertNotEqual(done.returncode, 0)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_an_unknown_image(self):
        self.refused(self.cluster("submit", "--image", "tinny", "--wrap", "true"), "tinny", "tiny")

    def test_more_nodes_than_exist(self):
        self.refused(self.cluster("submit", "--image", "tiny", "-N", 9, "--wrap", "true"), "9")

    def test_an_unknown_directive_names_its_line(self):
        script = self.script("bad.sh", "#SBATCH --ntasks=1", "#SBATCH --imagee=tiny", "true")
        self.refused(self.cluster("submit", script), "3", "--imagee", "--image")

    def test_a_missing_command_is_127(self):
        done = self.cluster("launch", "-n1", "--image", "tiny", "--", "no-such-command")
        self.assertEqual(done.returncode, 127, done.stderr)
        self.assertIn("no-such-command", done.stderr)

    def test_what_is_no_image_is_refused_on_upload(self):
        path = self.home / "junk.sif"
        path.write_bytes(b"junk" * 5000)
        self.refused(self.cluster("launch", "-n1", "--image", str(path), "--", "true"), "junk.sif")

    @t.need_root
    def test_a_job_of_root_is_refused(self):
        done = t.run([t.SLIPWAY, "submit", "--image", "tiny", "--wrap", "true"], env={"SLIPWAY_CONTEXT": self.cluster.context})
        self.refused(done, "uid 0", "ordinary user")

    def test_another_users_job_cannot_be_cancelled(self):
        if not t.ROOT:
            self.skipTest("needs root: two accounts")
        other = t.Account("slipway-oth")
        self.addCleanup(other.remove)
        job_id = self.cluster.submit("--image", "tiny", "--wrap", "sleep 1000")
        self.addCleanup(self.cluster, "cancel", job_id)
        self.refused(self.cluster("cancel", job_id, user=other.entry), str(job_id))


if __name__ == "__main__":
    unittest.main()
