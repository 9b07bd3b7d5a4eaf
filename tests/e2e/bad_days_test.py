#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Daemons killed under a running job: it does not notice, and its exit code is right afterwards."""
import time
import unittest

import slipway_testing as t


class BadDays(t.ClusterTest):
    """The same cluster shape, its daemons killed under a running job."""
    NODES = 2

    def job_that_waits(self, nodes=2):
        """A running MPI job that ends with code 23 when its `go` file appears."""
        go = self.home / f"go-{time.monotonic_ns()}"
        code = (f"from mpi4py import MPI; import os, sys, time\nc = MPI.COMM_WORLD\nprint('up', flush=True)\n"
                f"while not os.path.exists('{go}'): time.sleep(0.05)\nc.Barrier()\nsys.exit(23)")
        program = self.home / f"{go.name}.py"
        program.write_text(code)
        job_id = self.cluster.submit("--image", "mpi", "-N", nodes, "-n", 2 * nodes, "--output", f"{go.name}.out",
                                     "--wrap", f"slipway launch -n {2 * nodes} -- python3 {program}")
        t.wait_until("ranks are up", lambda: (self.home / f"{go.name}.out").exists() and
                     (self.home / f"{go.name}.out").read_text().count("up") == 2 * nodes, 90)
        return job_id, go

    def ends_rightly(self, job_id, go):
        go.touch()
        job = self.cluster.wait_end(job_id, 120)
        self.assertEqual((job["state"], job["exit_code"]), ("FAILED", 23), job)

    def test_a_running_job_survives_the_agents_death(self):
        job_id, go = self.job_that_waits()
        for daemon in ("n1-agent", "n2-agent", "n1-agent"):
            self.cluster.kill(daemon)
        self.ends_rightly(job_id, go)

    def test_a_running_job_survives_the_brokers_death(self):
        job_id, go = self.job_that_waits()
        for daemon in ("n1-broker", "n2-broker"):
            self.cluster.kill(daemon)
        self.ends_rightly(job_id, go)

    def test_a_running_job_survives_the_controllers_death(self):
        job_id, go = self.job_that_waits()
        for _ in range(2):
            self.cluster.kill("slipwayd")
        self.ends_rightly(job_id, go)

    def test_a_job_that_ends_while_everything_is_dead_has_its_exit_code(self):
        job_id, go = self.job_that_waits()
        go.touch()
        for daemon in ("slipwayd", "n1-agent", "n1-broker", "n2-agent"):
            self.cluster.kill(daemon)
        job = self.cluster.wait_end(job_id, 120)
        self.assertEqual((job["state"], job["exit_code"]), ("FAILED", 23), job)

    def test_no_acknowledged_job_is_lost_when_the_controller_dies_among_submissions(self):
        ids = []
        for i in range(30):
            if i % 10 == 5:
                self.cluster.kill("slipwayd")
            done = self.cluster("submit", "--parsable", "--image", "tiny", "--output", "/dev/null", "--wrap", "true")
            if done.returncode == 0:
                ids.append(int(done.stdout.strip().split(";")[0]))
        self.assertGreaterEqual(len(ids), 20)
        self.assertEqual(len(ids), len(set(ids)))
        for job_id in ids:
            self.assertEqual(self.cluster.wait_end(job_id, 120)["state"], "COMPLETED", job_id)


if __name__ == "__main__":
    unittest.main()
