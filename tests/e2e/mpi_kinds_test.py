#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MPI libraries that do not speak PMIx, in containers on two nodes; and what a user is told when one cannot be served."""
import re
import shutil
import subprocess
import unittest

import slipway_testing as t

# Ends without MPI_Finalize: MPICH 4.0 over UCX's TCP hangs there now and then, under its own mpiexec too (docs/mpi.md).
PROGRAM = r"""
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char** argv) {
  int rank, size, sum = 0;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  printf("RANK %d of %d sum %d\n", rank, size, sum);
  fflush(stdout);
  _exit(0);
}
"""

# The root waits for all children to have spoken, so that none of the lines is lost.
SPAWN = """import os, socket, sys
from mpi4py import MPI
world = MPI.COMM_WORLD
parent = MPI.Comm.Get_parent()
here = socket.gethostname() + " " + os.readlink("/proc/self/ns/user")
if parent != MPI.COMM_NULL:
    everyone = parent.Merge(True)
    total = everyone.allreduce(everyone.rank)
    print("CHILD", world.rank, "of", world.size, "on", socket.gethostname(), "sum", total, here, flush=True)
    everyone.Free()
    parent.Disconnect()
    sys.exit()
if world.rank == 0:
    print("UNIVERSE", world.Get_attr(MPI.UNIVERSE_SIZE), flush=True)
    try:
        MPI.COMM_SELF.Spawn("no-such-program", maxprocs=1)
    except MPI.Exception as error:
        print("caught", error, flush=True)
world.Barrier()
children = world.Spawn(sys.executable, [__file__], maxprocs=4)
everyone = children.Merge(False)
total = everyone.allreduce(everyone.rank)
print("PARENT", world.rank, "sum", total, here, flush=True)
everyone.Free()
children.Disconnect()
"""


@unittest.skipUnless(shutil.which("mpicc.mpich"), "needs libmpich-dev and mpich to compile with")
class Mpich(t.ClusterTest):
    NODES = 2
    IMAGES = ("mpich", "mpi")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.home / "p.c").write_text(PROGRAM)
        subprocess.run(["mpicc.mpich", "-o", cls.home / "p", cls.home / "p.c"], check=True, capture_output=True)

    def world(self, *options):
        done = self.cluster("launch", "-N2", "-n4", "--image", "mpich", *options, "--", self.home / "p", check=0)
        self.assertEqual(sorted(line for line in done.stdout.splitlines() if line.startswith("RANK")),
                         [f"RANK {rank} of 4 sum 6" for rank in range(4)], done.stdout + done.stderr)
        return done

    def test_it_is_one_world_without_being_told_how(self):
        self.world()

    def test_it_is_one_world_over_pmi(self):
        done = self.world("--mpi=pmi1", "--mpi-report")
        self.assertIn("mpi: offered: PMI-1, PMI-2", done.stderr)

    def test_a_program_that_is_started_through_something_that_closes_descriptors_calls_at_a_port(self):
        through = f'for fd in $(ls /proc/$$/fd); do (( fd < 3 )) || eval "exec $fd>&-"; done; exec {self.home}/p'
        ranks = ("launch", "-N2", "-n4", "--image", "mpich", "--mpi=pmi1")
        done = self.cluster(*ranks, "--mpi-pmi-port", "--", "bash", "-c", through, check=0)
        self.assertEqual(sorted(line for line in done.stdout.splitlines() if line.startswith("RANK")),
                         [f"RANK {rank} of 4 sum 6" for rank in range(4)], done.stdout + done.stderr)
        done = self.cluster(*ranks, "--", "bash", "-c", through)
        self.assertNotEqual(done.returncode, 0)  # or the option would be for nothing
        done = self.cluster("launch", "-n2", "--image", "mpich", "--mpi=pmix", "--mpi-pmi-port", "--", "true")
        self.assertIn("--mpi-pmi-port is of PMI", done.stderr)

    def test_ranks_that_are_only_offered_pmix_are_told_what_to_change(self):
        done = self.cluster("launch", "-N2", "-n4", "--mpi=pmix", "--image", "mpich", "--", self.home / "p", check=1)
        self.assertRegex(done.stderr, r"rank \d on n\d ended without having called MPI_Init over PMIx.*--mpi=auto")

    def test_an_mpi_that_does_not_speak_pmi_is_told_what_to_change(self):
        code = "from mpi4py import MPI; print(MPI.COMM_WORLD.size)"
        done = self.cluster("launch", "-N2", "-n4", "--mpi=pmi2", "--image", "mpi", "--", "python3", "-c", code, check=1)
        self.assertRegex(done.stderr, r"rank \d on n\d exited with code 1 before it had called MPI_Init over PMI;.*--mpi=auto")

    def test_open_mpi_finds_names_that_another_node_published(self):
        code = """from mpi4py import MPI
c = MPI.COMM_WORLD
port = MPI.Open_port() if c.rank == 0 else None
if c.rank == 0: MPI.Publish_name("service", port)
port = c.bcast(port)
if c.rank == 1: print("same", MPI.Lookup_name("service") == port)
c.Barrier()
if c.rank == 0: MPI.Unpublish_name("service", port)
"""
        done = self.cluster("launch", "-N2", "-n2", "--image", "mpi", "--", "python3", "-c", code, check=0)
        self.assertEqual(done.stdout, "same True\n", done.stderr)

    def test_spawned_ranks_come_into_the_containers_of_both_nodes(self):
        (self.home / "spawn.py").write_text(SPAWN)
        script = self.script("spawn.sh", "#SLIPWAY --image=mpi", "#SBATCH -N 2 -n 6", "#SBATCH --output=spawn-%j.txt",
                             f"exec slipway launch -N2 -n 2 -- python3 {self.home}/spawn.py")
        job_id = self.cluster.submit(str(script))
        job = self.cluster.wait_end(job_id)
        output = (self.home / f"spawn-{job_id}.txt").read_text()
        self.assertEqual((job["state"], job["exit_code"]), ("COMPLETED", 0), output)
        for rank in range(4):
            self.assertRegex(output, rf"CHILD {rank} of 4 on n[12] sum 15")
        namespaces = {}
        for host, namespace in re.findall(r"(n\d) (user:\S+)", output):
            namespaces.setdefault(host, set()).add(namespace)
        self.assertEqual({host: len(found) for host, found in namespaces.items()}, {"n1": 1, "n2": 1}, output)
        self.assertIn("UNIVERSE 6", output)
        self.assertIn("caught MPI_ERR", output)
        self.assertRegex(output, r"got no more ranks: .*no-such-program")

    def test_spawn_without_room_is_an_error_that_a_program_can_catch(self):
        code = """from mpi4py import MPI
try:
    MPI.COMM_SELF.Spawn("true", maxprocs=1)
except MPI.Exception as error: print(error)
MPI.COMM_WORLD.Barrier()
"""
        done = self.cluster("launch", "-n2", "--image", "mpi", "--", "python3", "-c", code, check=0)
        self.assertEqual(done.stdout.count("MPI_ERR"), 2, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"rank \d got no more ranks: 1 rank was asked for, and of the 2 .* 0 are free")

    def test_ranks_go_on_without_one_that_failed_where_they_are_told_to(self):
        # Rank 3 is on the node of rank 2, and speaks once that is no more.
        code = ('cd "$HOME"; case $SLIPWAY_RANK in 2) echo $$ >pid.new; mv pid.new pid; exit 5;; '
                '3) until [ -s pid ]; do :; done; while kill -0 $(cat pid) 2>/dev/null; do :; done; echo still here;; esac')
        for option in ("--keep-on-bad-exit", "--kill-on-bad-exit=0"):
            (self.home / "pid").unlink(missing_ok=True)
            done = self.cluster("launch", "-N2", "-n4", option, "--image", "mpi", "--", "sh", "-c", code, check=5)
            self.assertEqual(done.stdout, "still here\n", done.stderr)
        self.cluster("launch", "-n2", "--kill-on-bad-exit=2", "--image", "mpi", "--", "true", check=2)

    def test_an_unknown_kind_is_refused_with_those_there_are(self):
        done = self.cluster("launch", "-n2", "--mpi=pmi3", "--image", "mpich", "--", "true")
        self.assertEqual(done.returncode, 2)
        self.assertIn("must be auto, pmix, pmi2, pmi1 or none", done.stderr)


if __name__ == "__main__":
    unittest.main()
