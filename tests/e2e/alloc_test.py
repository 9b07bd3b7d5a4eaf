#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`slipway alloc`, salloc by name: an allocation with a command beside it."""
import re
import signal
import unittest

import slipway_testing as t
from terminal import Terminal, name


class Allocations(t.ClusterTest):
    NODES = 2
    IMAGES = ("tiny",)

    def salloc(self, *words, **options):
        return self.cluster.by_name("salloc", "--image", "tiny", *words, **options)

    def job_of(self, text):
        return re.search(r"Granted job allocation (\d+)", text).group(1)

    def test_a_command_runs_here_with_steps_there_and_the_allocation_ends_with_it(self):
        done = self.salloc("-N2", "-n4", "sh", "-c",
                           f"echo $SLURM_JOB_NUM_NODES $SLURM_NTASKS $SLURM_JOB_NODELIST; {name('srun')} sh -c 'echo on $SLURMD_NODENAME'; exit 5")
        self.assertEqual(done.returncode, 5)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "2 4 n[1-2]")
        self.assertEqual(sorted(lines[1:]), ["on n1"] * 2 + ["on n2"] * 2)
        self.assertEqual(self.cluster.wait_end(self.job_of(done.stderr))["state"], "COMPLETED")

    def test_it_ends_with_us_however_we_end(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP):
            process = self.cluster.popen("alloc", "--image", "tiny", "sh", "-c", "echo $SLURM_JOB_ID; exec sleep 600")
            self.addCleanup(process.kill)
            job = process.stdout.readline().strip()
            process.send_signal(number)
            process.stdout.close(), process.stderr.close(), process.stdin.close()
            self.assertNotEqual(process.wait(60), 0)
            self.assertIn(self.cluster.wait_end(job)["state"], ("CANCELLED", "COMPLETED"), number)

    def test_control_c_is_the_commands_affair(self):
        terminal = Terminal([name("salloc"), "--image", "tiny"], user=self.cluster.user,
                            env={"SLIPWAY_CONTEXT": self.cluster.context})
        self.addCleanup(terminal.close)
        terminal.expect("Granted job allocation")
        terminal.type("sh -c 'echo be''gun; exec sleep 600'\n")
        terminal.expect("begun\r\n")
        terminal.type("\x03")
        terminal.type("echo still he''re\n")
        terminal.expect("still here")
        terminal.type("exit 0\n")
        self.assertEqual(terminal.wait(), 0)

    def test_who_gives_up_waiting_leaves_nothing(self):
        full = self.cluster.submit("--image", "tiny", "-N2", "--exclusive", "--wrap", "sleep 600")
        self.addCleanup(self.cluster, "cancel", full)
        self.cluster.wait_state(full, "RUNNING")
        process = self.cluster.popen("alloc", "--image", "tiny", "-J", "impatient", "true")
        self.addCleanup(process.kill)
        waits = lambda: self.cluster.by_name("squeue", "-h", "-n", "impatient", "-t", "PD", "-o", "%i", check=0).stdout.strip()
        job = t.wait_until("it waits", waits)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.cluster.wait_end(job)["state"], "CANCELLED")

    def test_an_allocation_that_is_taken_away_tells_its_command(self):
        process = self.cluster.popen("alloc", "--image", "tiny", "sh", "-c", "echo $SLURM_JOB_ID; exec sleep 600")
        self.addCleanup(process.kill)
        job = process.stdout.readline().strip()
        self.cluster("cancel", job, check=0)
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)
        self.assertIn("revoked", errors)


if __name__ == "__main__":
    unittest.main()
