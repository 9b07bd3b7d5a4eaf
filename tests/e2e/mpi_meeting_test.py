#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MPI steps of one job meet: by a published name, and as ranks that one of them spawned into another image."""
import unittest

import slipway_testing as t

MEET = """import sys
from mpi4py import MPI
world = MPI.COMM_WORLD
name = "the meeting"
if sys.argv[1] == "server":
    port = MPI.Open_port() if world.rank == 0 else ""
    if world.rank == 0: MPI.Publish_name(name, port)
    other = world.Accept(port)
else:
    port = None
    while world.rank == 0 and port is None:  # the step's time limit is the bound
        try: port = MPI.Lookup_name(name)
        except MPI.Exception: pass
    other = world.Connect(port or "")
everyone = other.Merge(sys.argv[1] != "server")
total = everyone.allreduce(everyone.rank)
print("MET", sys.argv[1], world.rank, "of", other.remote_size, "sum", total, flush=True)
everyone.Free()
other.Disconnect()
if sys.argv[1] == "server" and world.rank == 0: MPI.Unpublish_name(name, port)
"""

# Which image a rank sits in: each has a mark of its own.
SPAWN = """import os, signal, sys
from mpi4py import MPI
world = MPI.COMM_WORLD
where = os.environ.get("IMAGE_MARK", "none") + " on " + os.environ["SLIPWAY_NODE"]
parent = MPI.Comm.Get_parent()
if parent != MPI.COMM_NULL:
    everyone = parent.Merge(True)
    print("CHILD", world.rank, "of", world.size, "in", where, "sum", everyone.allreduce(everyone.rank), flush=True)
    everyone.Free()
    parent.Disconnect()
    if sys.argv[1] == "fail": sys.exit(6)
    sys.exit()
info = MPI.Info.Create()
for word in sys.argv[1:]:
    if "=" in word: info[word.split("=", 1)[0]] = word.split("=", 1)[1]
if world.rank == 0 and "refused" in sys.argv:
    try: MPI.COMM_SELF.Spawn(sys.executable, [__file__], 1, info)
    except MPI.Exception as error: print("CAUGHT", error, flush=True)
world.Barrier()
if "refused" not in sys.argv:
    children = world.Spawn(sys.executable, [__file__, sys.argv[1]], 2, info)
    everyone = children.Merge(False)
    print("PARENT", world.rank, "in", where, "sum", everyone.allreduce(everyone.rank), flush=True)
    everyone.Free()
    children.Disconnect()
    if sys.argv[1] == "fail": signal.pause()
world.Barrier()
if world.rank == 0: print("WENT ON", flush=True)
"""


@t.need_root
class Steps(t.ClusterTest):
    NODES = 2
    IMAGES = ("mpi", "mpi-trixie")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.home / "meet.py").write_text(MEET)
        (cls.home / "spawn.py").write_text(SPAWN)
        recipe = cls.home / "marked.def"
        recipe.write_text(f"Bootstrap: localimage\nFrom: {cls.mpi}\n%environment\n    export IMAGE_MARK=marked\n")
        t.run([t.SLIPWAY, "build", cls.home / "marked.sif", recipe], timeout=300, check=0)
        cls.cluster("image", "add", cls.home / "marked.sif", "marked", check=0, timeout=300)

    def job(self, image, *lines, size="-N 2 -n 8", code=0):
        script = self.script("job.sh", f"#SLIPWAY --image={image}", f"#SBATCH {size}", "#SBATCH --output=job-%j.txt",
                             "#SBATCH --time=2", *lines)
        job_id = self.cluster.submit(str(script))
        job = self.cluster.wait_end(job_id, timeout=150)
        output = (self.home / f"job-{job_id}.txt").read_text()
        self.assertEqual(job["exit_code"], code, output)
        return output

    def test_two_steps_connect_by_a_name_that_one_has_published(self):
        for image in ("mpi", "mpi-trixie"):
            with self.subTest(image):
                output = self.job(image,
                                  f"slipway launch -N2 -n2 --mpi=pmix -- python3 {self.home}/meet.py server & server=$!",
                                  f"slipway launch -N1 -n2 --mpi=pmix -- python3 {self.home}/meet.py client || exit",
                                  "wait $server")
                self.assertEqual(sorted(line for line in output.splitlines() if line.startswith("MET")),
                                 [f"MET {side} {rank} of 2 sum 6" for side in ("client", "server") for rank in (0, 1)], output)

    def test_steps_of_an_allocation_meet_too(self):
        launch = f"{t.SLIPWAY} launch -N1 -n2 --mpi=pmix -- python3 {self.home}/meet.py"
        done = self.cluster("alloc", "-N2", "-n8", "--time=2", "--image", "mpi", "--", "sh", "-c",
                            f"{launch} server & server=$!; {launch} client && wait $server", timeout=150)
        self.assertEqual(sorted(line for line in done.stdout.splitlines() if line.startswith("MET")),
                         [f"MET {side} {rank} of 2 sum 6" for side in ("client", "server") for rank in (0, 1)],
                         done.stdout + done.stderr)

    def test_a_name_that_nobody_published_is_an_error_at_once(self):
        output = self.job("mpi", """slipway launch -n2 --mpi=pmix -- python3 -c 'from mpi4py import MPI
try: MPI.Lookup_name("nobody")
except MPI.Exception as error: print("CAUGHT", error)
'""")
        self.assertEqual(output.count("CAUGHT MPI_ERR_NAME"), 2, output)

    def test_ranks_are_spawned_into_an_image_that_the_step_may_have(self):
        # By default, and by name and on one node, from where no child has spoken to the parent on the other one.
        for choice in ("", "env=SLIPWAY_SPAWN_IMAGE=marked host=n1"):
            images = "marked" if not choice else "mpi-trixie,marked"
            output = self.job("mpi", f"slipway launch -N2 -n2 --mpi=pmix --spawn-image={images} -- "
                                     f"python3 {self.home}/spawn.py well {choice}")
            for rank in (0, 1):
                self.assertRegex(output, rf"CHILD {rank} of 2 in marked on n[12] sum 6")
                self.assertRegex(output, rf"PARENT {rank} in none on n[12] sum 6")
            self.assertIn("WENT ON", output)

    def test_ranks_of_another_image_that_fail_end_the_step_that_spawned_them(self):
        output = self.job("mpi", f"slipway launch -n1 --mpi=pmix --spawn-image=marked -- python3 {self.home}/spawn.py fail"
                                 "; echo code $?")
        self.assertIn("code 6", output)
        self.assertIn("the step of spawned ranks of another image ended with code 6", output)
        self.assertEqual(output.count("CHILD"), 2, output)

    def test_an_image_that_is_not_there_or_not_allowed_is_an_error_that_the_parent_catches(self):
        for images, choice, why in (("nowhere", "", "no image .*nowhere|nowhere.*no such|nowhere.*not"),
                                    ("marked", "env=SLIPWAY_SPAWN_IMAGE=mpi-trixie", "image mpi-trixie is not one that ranks")):
            with self.subTest(images):
                output = self.job("mpi", f"slipway launch -N2 -n2 --mpi=pmix --spawn-image={images} -- "
                                         f"python3 {self.home}/spawn.py refused {choice}")
                self.assertRegex(output, "CAUGHT MPI_ERR")
                self.assertRegex(output, why)
                self.assertRegex(output, "rank 0 got no more ranks: ")
                self.assertIn("WENT ON", output)

    def test_ranks_are_spawned_onto_a_node_where_the_step_has_none(self):
        output = self.job("mpi", f"slipway launch -N1 -n1 --nodelist=n1 --mpi=pmix -- python3 {self.home}/spawn.py well host=n2")
        for rank in (0, 1):
            self.assertRegex(output, rf"CHILD {rank} of 2 in none on n2 sum 3")
        self.assertIn("PARENT 0 in none on n1 sum 3", output)


if __name__ == "__main__":
    unittest.main()
