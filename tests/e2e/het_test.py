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

    def test_a_launch_of_two_programs_is_one_job_with_both_outputs_and_one_exit_code(self):
        words = ("launch", "-l", "--image", "tiny", "-n1", "sh", "-c", "read line; echo got $line of $SLURM_HET_SIZE")
        done = self.cluster(*words, ":", "-n2", "sh", "-c", "echo works in $SLIPWAY_JOB_ID", stdin="word\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = sorted(done.stdout.splitlines())
        self.assertEqual(lines[0], "0.0: got word of 2", done.stdout)
        self.assertEqual([line[:13] for line in lines[1:]], ["1.0: works in", "1.1: works in"])
        leader = int(lines[1].split()[-1]) - 1
        first, second = self.components(leader)
        self.assertEqual((first["start_ms"], first["het_size"]), (second["start_ms"], 2))
        done = self.cluster("launch", "--image", "tiny", "-n1", "sleep", "600", ":", "-n1", "sh", "-c", "exit 7")
        self.assertEqual(done.returncode, 7, "the first failure ends the other and is the job's\n" + done.stderr)

    def test_what_a_launch_of_two_programs_cannot_be_is_refused_with_the_cure(self):
        done = self.cluster("launch", "-n1", "true", ":", "-n1", "true", env={"SLIPWAY_JOB_ID": "1"})
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
        self.assertIn("--het-group", done.stderr)
        done = self.cluster("launch", "--image", "tiny", "true", ":", "-n1")
        self.assertIn("component 1", done.stderr)
        done = self.cluster("submit", "--image", "tiny", "-n1", ":", "-n1", "-d", "singleton", "--wrap", "true")
        self.assertIn("dependencies belong to the whole job", done.stderr)

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
