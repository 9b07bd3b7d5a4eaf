#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A queue as users work with it: jobs that wait for one another, are held, put off, asked about and run again."""
import unittest

import slipway_testing as t


class Queue(t.ClusterTest):
    """What keeps a job from starting, what lets it go on, and what is said meanwhile."""
    NODES = 1

    def submit(self, *words):
        return self.cluster.submit("--image", "tiny", *words)

    def test_a_held_job_starts_when_it_is_released(self):
        job = self.submit("--hold", "--wrap", "true")
        self.assertIn("held", self.cluster("why", job, check=0).stdout)
        self.cluster("release", job, check=0)
        self.assertEqual(self.cluster.wait_end(job)["state"], "COMPLETED")

    def test_a_dependency_is_met_or_never_will_be(self):
        first = self.submit("--hold", "--wrap", "true")
        after = self.submit("-d", f"afterok:{first}", "--wrap", "true")
        never = self.submit("-d", f"afternotok:{first}", "--wrap", "true")
        self.assertIn(f"job {first} (afterok)", self.cluster("why", after, check=0).stdout)
        self.cluster("release", first, check=0)
        self.assertEqual(self.cluster.wait_end(after)["state"], "COMPLETED")
        self.assertIn("never", self.cluster("why", never, check=0).stdout)
        self.cluster("cancel", never, check=0)

    def test_a_dependency_on_no_job_and_a_misspelt_kind_are_refused(self):
        for wrong, word in (("afterok:999999", "999999"), ("aferok:1", "afterok"), ("afterok", "of which job")):
            done = self.cluster("submit", "--image", "tiny", "-d", wrong, "--wrap", "true")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(word, done.stderr)

    def test_why_names_the_planned_start_and_what_would_help(self):
        cores = self.cluster.json("nodes")["nodes"][0]["cores"]
        runs = self.submit("-n", cores, "-t", "30m", "--wrap", "sleep 600")
        self.addCleanup(self.cluster, "cancel", runs)
        self.cluster.wait_state(runs, "RUNNING")
        waits = self.submit("-n", cores, "-t", "30m", "--wrap", "true")
        self.addCleanup(self.cluster, "cancel", waits)
        behind = self.submit("-n", cores, "-t", "30m", "--wrap", "true")
        self.addCleanup(self.cluster, "cancel", behind)
        why = self.cluster.json("why", waits)
        self.assertGreater(why["planned_start_ms"], 0)
        self.assertEqual(len(why["planned_nodes"]), 1)
        why = self.cluster.json("why", behind)
        self.assertEqual(why["first_ahead"], [str(waits)])
        self.assertTrue(why["reasons"])
        self.cluster("update", waits, "--nice", 100, check=0)
        self.assertIn("- 100 nice", self.cluster.json("why", waits)["priority"])
        self.assertNotEqual(self.cluster("update", waits, "--nice", 1).returncode, 0, "raising is for administrators")

    def test_why_names_the_change_that_starts_a_job_earlier_and_that_start(self):
        cores = self.cluster.json("nodes")["nodes"][0]["cores"]
        self.assertGreater(cores, 1)
        runs = [self.submit("-n", n, "-t", limit, "--wrap", "sleep 600") for n, limit in ((1, "30m"), (cores - 1, "60m"))]
        for job in runs:
            self.addCleanup(self.cluster, "cancel", job)
            self.cluster.wait_state(job, "RUNNING")
        waits = self.submit("-n", cores, "-t", "30m", "--wrap", "true")
        self.addCleanup(self.cluster, "cancel", waits)
        why = self.cluster.json("why", waits)
        change = f"with 1 task instead of {cores}"
        starts = {earlier["change"]: earlier for earlier in why["earlier_starts"]}
        self.assertIn(change, starts, why)
        self.assertFalse(starts[change]["now"])
        # The grace is the same for both; what runs differs by half an hour in its limit.
        self.assertAlmostEqual(why["planned_start_ms"] - starts[change]["start_ms"], 1_800_000, delta=60_000)
        self.assertIn(f"it would help: {change} it would start by ", self.cluster("why", waits, check=0).stdout)

    def test_a_requeued_job_runs_again(self):
        job = self.submit("--wrap", "sleep 600")
        self.cluster.wait_state(job, "RUNNING")
        self.cluster("requeue", job, check=0)
        t.wait_until("the second attempt runs", lambda: self.cluster.job(job)["attempt"] == 2 and self.cluster.job(job)["state"] == "RUNNING")
        self.cluster("cancel", job, check=0)
        self.assertEqual(self.cluster.wait_end(job)["state"], "CANCELLED")


if __name__ == "__main__":
    unittest.main()
