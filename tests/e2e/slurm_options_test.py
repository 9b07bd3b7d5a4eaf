#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Options that users' Slurm scripts carry, on a real cluster: the signal before the end, nodes by name, what is asked without submitting."""
import unittest

import slipway_testing as t


class SlurmOptions(t.ClusterTest):
    """Two nodes."""
    NODES = 2

    def admin(self, *words):
        return t.run([t.SLIPWAY, *words], env={"SLIPWAY_CONTEXT": self.cluster.context}, check=0)

    def checkpointing(self, *words):
        """A job that notes that it was told, and ends by itself before its limit."""
        return self.cluster.submit("--image", "tiny", "-t", "60s", *words)

    def test_a_batch_script_is_told_before_its_time_is_over_and_writes_a_checkpoint(self):
        script = self.script("told.sh", "#SBATCH --signal=B:USR1@55", "trap 'echo checkpoint; kill $child; exit 0' USR1",
                             "sleep 600 & child=$!", "wait $child", "echo not told")
        job = self.checkpointing(script)
        self.assertEqual(self.cluster.wait_end(job)["state"], "COMPLETED")
        self.assertEqual(self.cluster("logs", job, check=0).stdout, "checkpoint\n")

    def test_without_b_the_steps_are_told_and_the_script_is_not(self):
        step = "trap \"echo step told; exit 0\" USR1; while :; do sleep 0.1; done"
        script = self.script("steps.sh", "#SBATCH --signal=USR1@55", "trap 'echo script told' USR1", f"slipway launch -N2 -n2 sh -c '{step}'", "echo after")
        job = self.checkpointing("-N2", script)
        self.assertEqual(self.cluster.wait_end(job)["state"], "COMPLETED")
        printed = self.cluster("logs", job, check=0).stdout
        self.assertEqual(printed.count("step told"), 2)
        self.assertNotIn("script told", printed)
        self.assertIn("after", printed)

    def test_the_signal_comes_after_slipwayd_was_killed(self):
        script = self.script("late.sh", "#SBATCH --signal=B:USR1@50", "n=0; trap 'n=$((n+1)); echo told $n' USR1",
                             "i=0; while [ $i -lt 150 ] && [ $n -lt 1 ]; do sleep 0.2; i=$((i+1)); done",
                             "sleep 12 & wait; wait")  # the word is said again meanwhile
        job = self.checkpointing(script)
        self.cluster.wait_state(job, "RUNNING")
        self.cluster.kill("slipwayd")
        self.assertEqual(self.cluster.wait_end(job)["state"], "COMPLETED")
        self.assertEqual(self.cluster("logs", job, check=0).stdout, "told 1\n")

    def test_jobs_and_steps_run_on_the_nodes_that_they_name(self):
        job = self.cluster.submit("--image", "tiny", "-w", "n2", "--wrap", "true")
        self.assertEqual(self.cluster.wait_end(job)["nodes"], ["n2"])
        job = self.cluster.submit("--image", "tiny", "-x", "n1", "--wrap", "true")
        self.assertEqual(self.cluster.wait_end(job)["nodes"], ["n2"])
        where = "slipway launch -n1 -w n2 sh -c 'echo $SLIPWAY_NODE'"
        job = self.cluster.submit("--image", "tiny", "-N2", "--wrap", where)
        self.assertEqual(self.cluster.wait_end(job)["state"], "COMPLETED")
        self.assertEqual(self.cluster("logs", job, check=0).stdout, "n2\n")
        for words, says in ((("-w", "n[1,9]"), "no node n9"), (("-w", "n1", "-x", "n1"), "both in --nodelist and in --exclude")):
            done = self.cluster("submit", "--image", "tiny", *words, "--wrap", "true")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(says, done.stderr)

    def test_why_names_the_listed_node_that_is_drained(self):
        self.admin("node", "drain", "n1", "--reason", "new memory")
        self.addCleanup(self.admin, "node", "resume", "n1")
        job = self.cluster.submit("--image", "tiny", "-w", "n1", "--wrap", "true")
        self.addCleanup(self.cluster, "cancel", job)
        self.assertIn("n1 is drained: new memory", self.cluster("why", job, check=0).stdout)

    def test_test_only_says_when_and_where_and_submits_nothing(self):
        before = self.cluster.submit("--image", "tiny", "--wrap", "true")
        done = self.cluster("submit", "--image", "tiny", "--test-only", "-w", "n2", "--wrap", "true", check=0)
        self.assertIn("would start at", done.stderr)
        self.assertIn("on n2", done.stderr)
        after = self.cluster.submit("--image", "tiny", "--wrap", "true")
        self.assertEqual(int(after), int(before) + 1)
        self.assertNotEqual(self.cluster("submit", "--image", "tiny", "--test-only", "-n", 100000, "--wrap", "true").returncode, 0)

    def test_a_launch_that_is_to_start_at_once_gives_up(self):
        cores = self.cluster.json("nodes")["nodes"][0]["cores"]
        runs = self.cluster.submit("--image", "tiny", "-w", "n1", "-n", cores, "--wrap", "sleep 600")
        self.addCleanup(self.cluster, "cancel", runs)
        self.cluster.wait_state(runs, "RUNNING")
        done = self.cluster("launch", "-I1", "-w", "n1", "-n1", "--image", "tiny", "true")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("was cancelled", done.stderr)
        self.cluster("launch", "-I30", "-u", "--overlap", "-w", "n2", "-n1", "--image", "tiny", "true", check=0)

    def test_what_is_not_had_says_what_to_use(self):
        done = self.cluster("launch", "--image", "tiny", "--bcast", "true")
        self.assertIn("the program is in the image", done.stderr)
        done = self.cluster("submit", "--image", "tiny", "--mail-type=END", "--wrap", "true", check=0)
        self.assertIn("no mail is sent", done.stderr)


if __name__ == "__main__":
    unittest.main()
