#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A dev cluster that an ordinary user brings up: no step of it needs root, and nothing of it is left behind."""
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

import slipway_testing as t

WHO = ("from mpi4py import MPI; import os, socket; c = MPI.COMM_WORLD; "
       "print('RANK', c.rank, c.size, socket.gethostname(), os.getuid(), flush=True); c.Barrier()")


class Rootless(t.ClusterTest):
    NODES = 2
    ROOTLESS = True

    def test_four_ranks_on_two_nodes_are_one_job(self):
        done = self.cluster("launch", "-N2", "-n4", "--image", "mpi", "--", "python3", "-c", WHO, check=0)
        ranks = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("RANK")]
        self.assertEqual(sorted(int(r[0]) for r in ranks), [0, 1, 2, 3], done.stdout + done.stderr)
        self.assertEqual({r[1] for r in ranks}, {"4"})
        self.assertEqual({r[2] for r in ranks}, {"n1", "n2"})
        self.assertEqual({r[3] for r in ranks}, {str(self.account.entry.pw_uid)})

    def test_a_batch_script_runs_steps_in_its_allocation(self):
        script = self.script("job.sh", "#SLIPWAY --image=mpi", "#SBATCH -N 2 -n 4", "#SBATCH --output=out-%j.txt",
                             f'slipway launch -n 4 -- python3 -c "{WHO}"', "touch made-by-the-job", "exit 6")
        job_id = self.cluster.submit(str(script))
        job = self.cluster.wait_end(job_id)
        output = (self.home / f"out-{job_id}.txt").read_text()
        self.assertEqual((job["state"], job["exit_code"]), ("FAILED", 6), output)
        self.assertEqual(len(re.findall(r"^RANK \d 4 n[12]", output, re.MULTILINE)), 4, output)
        self.assertEqual((self.home / "made-by-the-job").stat().st_uid, self.account.entry.pw_uid)
        self.assertEqual(self.cluster("logs", job_id, check=0).stdout, output)

    def test_exit_codes_are_the_programs(self):
        self.cluster("launch", "-n1", "--image", "tiny", "--", "true", check=0)
        self.cluster("launch", "-n1", "--image", "tiny", "--", "sh", "-c", "exit 9", check=9)
        self.cluster("launch", "-n1", "--image", "tiny", "--", "sh", "-c", "kill -9 $$", check=137)
        self.cluster("launch", "-n1", "--image", "tiny", "--", "no-such-command", check=127)

    def test_a_directory_is_an_image_too(self):
        root = self.home / "tree"
        program = self.home / "hello.c"
        program.write_text("int main(void) { return 5; }\n")
        (root / "bin").mkdir(parents=True)
        subprocess.run(["gcc", "-static", "-o", root / "bin/hello", program], check=True)
        self.cluster("launch", "-n1", "--image", root, "--", "/bin/hello", check=5)

    def test_cancel_ends_a_running_job(self):
        job_id = self.cluster.submit("--image", "tiny", "--wrap", "sleep 1000")
        self.cluster.wait_state(job_id, "RUNNING")
        self.cluster("cancel", job_id, check=0)
        self.assertEqual(self.cluster.wait_end(job_id, 60)["state"], "CANCELLED")

    def test_a_running_job_survives_its_daemons_deaths(self):
        go = self.home / f"go-{time.monotonic_ns()}"
        job_id = self.cluster.submit("--image", "tiny", "-N2", "-n2", "--wrap",
                                     f"slipway launch -n2 -- sh -c 'touch {go}.$SLIPWAY_PROCID; "
                                     f"while ! test -e {go}; do sleep 0.05; done'; exit 23")
        t.wait_until("the step runs", lambda: len(list(self.home.glob(f"{go.name}.*"))) >= 1, 60)
        for daemon in ("n1-agent", "n2-agent", "n1-broker", "slipwayd"):
            self.cluster.kill(daemon)
        go.touch()
        job = self.cluster.wait_end(job_id, 120)
        self.assertEqual((job["state"], job["exit_code"]), ("FAILED", 23), job)


class Down(unittest.TestCase):
    def test_nothing_is_left_although_a_job_runs(self):
        account = t.Account("slipway-down")
        self.addCleanup(account.remove)
        tiny = t.image("tiny")
        # By root's own account nothing was mounted, made or started that is not the cluster's.
        mounts = pathlib.Path("/proc/self/mounts").read_text().count(account.entry.pw_name)
        before = processes(account) if t.ROOT else set()
        files = files_of(account) if t.ROOT else set()  # an account that is gone may have left some to its number
        cluster = t.Cluster(nodes=2, user=account.entry, rootless=True)
        self.addCleanup(cluster.down)
        cluster("image", "add", tiny, "tiny", check=0, timeout=300)
        job_id = cluster.submit("--image", "tiny", "-N2", "-n2", "--wrap", "slipway launch -n2 -- sleep 1000")
        cluster.wait_state(job_id, "RUNNING")
        # A daemon that is killed at the last moment must not keep the others.
        os.kill(cluster.pid("n1-agent"), signal.SIGKILL)
        cluster.down(check=0)
        self.assertFalse(cluster.state.exists(), "the cluster's folder is gone")
        self.assertEqual(pathlib.Path("/proc/self/mounts").read_text().count(account.entry.pw_name), mounts)
        if t.ROOT:
            t.wait_until("its processes are gone", lambda: processes(account) == before, 10)
            self.assertEqual(files_of(account) - files, set())


def files_of(account):
    found = subprocess.run(["find", "/tmp", "/var/tmp", "/dev/shm", "/run", "/var/lib/slipway", "-xdev", "-user", account.entry.pw_name],
                           capture_output=True, text=True).stdout
    return set(found.splitlines())


def processes(account):
    """The account's processes, zombies aside: whoever is PID 1 here reaps those when it likes."""
    found = set()
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if proc.stat().st_uid == account.entry.pw_uid and (proc / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                found.add(int(proc.name))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    unittest.main()
