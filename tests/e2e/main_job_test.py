#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job: submitted, placed, staged, started in one container per node, wired through PMIx."""
import signal
import time
import unittest

import slipway_testing as t

WHO = ("from mpi4py import MPI; import os, socket; c = MPI.COMM_WORLD; "
       "print('RANK', c.rank, c.size, socket.gethostname(), os.readlink('/proc/self/ns/user'), flush=True); c.Barrier()")


class MainJob(t.ClusterTest):
    NODES = 4

    def ranks(self, text):
        return [line.split()[1:] for line in text.splitlines() if line.startswith("RANK")]

    def test_four_ranks_on_two_nodes_are_one_job(self):
        done = self.cluster("launch", "-N2", "-n4", "--image", "mpi", "--", "python3", "-c", WHO, check=0)
        ranks = self.ranks(done.stdout)
        self.assertEqual(sorted(int(r[0]) for r in ranks), [0, 1, 2, 3], done.stdout + done.stderr)
        self.assertEqual({r[1] for r in ranks}, {"4"})
        self.assertEqual(len({r[2] for r in ranks}), 2, "two host names")
        for host in {r[2] for r in ranks}:
            self.assertEqual(len({r[3] for r in ranks if r[2] == host}), 1, "one user namespace per node")

    def test_sixteen_ranks_on_four_nodes(self):
        done = self.cluster("launch", "-N4", "-n16", "--image", "mpi", "--", "python3", "-c", WHO, check=0)
        ranks = self.ranks(done.stdout)
        self.assertEqual(sorted(int(r[0]) for r in ranks), list(range(16)))
        self.assertEqual(len({r[2] for r in ranks}), 4)

    def test_a_batch_script_with_directives_runs_steps_in_its_allocation(self):
        script = self.script("job.sh", "#SLIPWAY --image=mpi", "#SBATCH -N 2 -n 4", "#SBATCH --output=out-%j.txt", "#SBATCH --job-name=main",
                             "echo batch on $(hostname) job $SLURM_JOB_ID",
                             f'slipway launch -n 4 -- python3 -c "{WHO}"')
        job_id = self.cluster.submit(str(script))
        job = self.cluster.wait_end(job_id)
        output = (self.home / f"out-{job_id}.txt").read_text()
        self.assertEqual((job["state"], job["exit_code"]), ("COMPLETED", 0), output)
        self.assertEqual((job["name"], len(job["nodes"])), ("main", 2))
        self.assertIn(f"job {job_id}", output)
        self.assertEqual(len(self.ranks(output)), 4, output)
        self.assertRegex(job["image_digest"], r"^sha256:[0-9a-f]{64}$")
        self.assertIn("batch on", self.cluster("logs", job_id, check=0).stdout)

    def test_the_exit_code_of_a_script_is_the_jobs(self):
        job = self.cluster.wait_end(self.cluster.submit("--image", "tiny", "--wrap", "exit 9"))
        self.assertEqual((job["state"], job["exit_code"]), ("FAILED", 9))
        self.cluster("submit", "--wait", "--image", "tiny", "--wrap", "exit 9", check=9)

    def test_a_rank_that_dies_takes_the_step_down_with_its_code(self):
        code = "from mpi4py import MPI; import os, time; r = MPI.COMM_WORLD.rank; os._exit(5) if r == 2 else time.sleep(600)"
        started = time.monotonic()
        done = self.cluster("launch", "-N2", "-n4", "--image", "mpi", "--", "python3", "-c", code, check=5)
        self.assertLess(time.monotonic() - started, 60)
        self.assertRegex(done.stderr, r"rank 2")

    def test_mpi_abort_gives_its_code(self):
        code = "from mpi4py import MPI; import time; c = MPI.COMM_WORLD; c.Abort(7) if c.rank == 3 else time.sleep(600)"
        self.cluster("launch", "-N2", "-n4", "--image", "mpi", "--", "python3", "-c", code, check=7)

    def test_ranks_that_never_connect_are_not_n_silent_singletons(self):
        done = self.cluster("launch", "-N2", "-n4", "--mpi=pmix", "--image", "mpi", "--", "true")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"rank \d")
        self.cluster("launch", "-N2", "-n4", "--mpi=none", "--image", "mpi", "--", "true", check=0)

    def test_several_tasks_need_not_be_an_mpi_program(self):
        done = self.cluster("launch", "-N2", "-n4", "--image", "mpi", "--", "hostname", check=0)
        self.assertEqual(sorted(done.stdout.split()), ["n1", "n1", "n2", "n2"])

    def test_a_step_may_change_roots_files_in_a_layer_of_its_own(self):
        change = "set -e; echo mine > /etc/debian_version; mkdir /usr/made; cat /etc/debian_version"
        done = self.cluster("launch", "--image", "mpi", "--mpi=none", "--writable-tmpfs", "--", "sh", "-c", change, check=0)
        self.assertEqual(done.stdout.strip(), "mine", done.stderr)
        whole = self.cluster("launch", "--image", "mpi", "--mpi=none", "--", "cat", "/etc/debian_version", check=0)
        self.assertNotEqual(whole.stdout.strip(), "mine")

    def test_an_array_runs_each_task_once(self):
        job_id = self.cluster.submit("--image", "tiny", "--array", "1-6", "--output", "arr-%A-%a.txt", "--wrap", "echo task $SLURM_ARRAY_TASK_ID")

        def written():
            files = {f.name: f.read_text() for f in self.home.glob(f"arr-{job_id}-*.txt")}
            return files if len(files) == 6 and all(files.values()) else None
        files = t.wait_until("six outputs", written)
        self.assertEqual({name: text for name, text in files.items()}, {f"arr-{job_id}-{i}.txt": f"task {i}\n" for i in range(1, 7)})

    def test_ctrl_c_ends_the_step_and_the_allocation(self):
        process = self.cluster.popen("launch", "-n1", "--image", "tiny", "--", "sh", "-c", "echo up; exec sleep 1000")
        self.assertEqual(process.stdout.readline(), "up\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        t.wait_until("no live job", lambda: not self.cluster.json("jobs")["jobs"], 30)

    def test_stdin_reaches_rank_zero(self):
        done = self.cluster("launch", "-n1", "--image", "tiny", "--", "cat", stdin="through the cluster\n", check=0)
        self.assertEqual(done.stdout, "through the cluster\n")

    def test_cancel_ends_a_running_job(self):
        job_id = self.cluster.submit("--image", "tiny", "--wrap", "sleep 1000")
        self.cluster.wait_state(job_id, "RUNNING")
        self.cluster("cancel", job_id, check=0)
        self.assertEqual(self.cluster.wait_end(job_id, 60)["state"], "CANCELLED")

    def test_a_time_limit_ends_the_job(self):
        job = self.cluster.wait_end(self.cluster.submit("--image", "tiny", "-t", "2s", "--wrap", "sleep 1000"), 90)
        self.assertEqual(job["state"], "TIMEOUT")

    def test_a_file_and_a_directory_are_images_too(self):
        done = self.cluster("launch", "-n1", "--image", self.tiny, "--", "sh", "-c", "echo $SLIPWAY_IMAGE", check=0)
        self.assertEqual(done.stdout, "tiny\n")

    def test_nodes_shows_what_there_is(self):
        nodes = self.cluster.json("nodes")["nodes"]
        self.assertEqual([n["name"] for n in nodes], ["n1", "n2", "n3", "n4"])
        self.assertTrue(all(n["state"] == "UP" and n["cores"] == 8 for n in nodes))


if __name__ == "__main__":
    unittest.main()
