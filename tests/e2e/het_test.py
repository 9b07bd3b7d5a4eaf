#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Heterogeneous jobs on a real cluster: several requests that are started, shown and ended as one job."""
import unittest

import slipway_testing as t


class Heterogeneous(t.ClusterTest):
    """Two components: one runs the script, steps run in either."""
    NODES = 2

    def components(self, job):
        return [self.cluster.json("job", str(int(job) + offset)) for offset in (0, 1)]

    def test_components_start_together_and_a_step_runs_in_either(self):
        script = ("for g in 0 1; do slipway launch --het-group=$g sh -c 'echo group $SLIPWAY_JOB_ID of $SLURM_HET_SIZE'; done; "
                  "slipway launch --het-group=0,1 true || echo refused; "
                  "slipway launch --het-group=7 true || echo none")
        job = self.cluster.submit("--image", "tiny", "-n1", ":", "-N1", "-n2", "--wrap", script)
        self.assertEqual(self.cluster.wait_end(job)["state"], "COMPLETED")
        first, second = self.components(job)
        self.assertEqual(second["state"], "COMPLETED")
        self.assertEqual([first["het_size"], second["het_offset"], second["het_job_id"]], [2, 1, int(job)])
        self.assertEqual(first["start_ms"], second["start_ms"])
        printed = self.cluster("logs", job, check=0).stdout
        self.assertIn(f"group {job} of 2", printed)
        self.assertEqual(printed.count(f"group {int(job) + 1} of 2"), 2)
        self.assertIn("refused", printed)
        self.assertIn("none", printed)

    def test_who_cancels_a_component_cancels_all(self):
        job = self.cluster.submit("--image", "tiny", "-n1", ":", "-n1", "--wrap", "sleep 600")
        self.cluster.wait_state(job, "RUNNING")
        self.assertIn(f"{job}+1", self.cluster("jobs", check=0).stdout)
        self.cluster("cancel", f"{job}+1", check=0)
        self.assertEqual(self.cluster.wait_end(job)["state"], "CANCELLED")
        self.assertEqual(self.cluster.wait_end(int(job) + 1)["state"], "CANCELLED")

    def test_what_never_fits_together_and_an_array_are_refused(self):
        cores = self.cluster.json("nodes")["nodes"][0]["cores"]
        done = self.cluster("submit", "--image", "tiny", "-n", str(2 * cores), ":", "-n1", "--wrap", "true")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("never all at once", done.stderr)
        done = self.cluster("submit", "--image", "tiny", "-a", "1-3", "-n1", ":", "-n1", "--wrap", "true")
        self.assertIn("--array does not go with it", done.stderr)


if __name__ == "__main__":
    unittest.main()
