#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MPI steps of one job meet: by a published name, and as ranks that one of them spawned into another image."""
import re
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

# Several programs into one world: each says who it is by its arguments, its environment and its number (MPI_APPNUM).
SEVERAL = """import os, sys
from mpi4py import MPI
world = MPI.COMM_WORLD
parent = MPI.Comm.Get_parent()
where = os.environ.get("IMAGE_MARK", "none") + " on " + os.environ["SLIPWAY_NODE"]
if parent != MPI.COMM_NULL:
    everyone = parent.Merge(True)
    print("CHILD", world.rank, "of", world.size, "program", world.Get_attr(MPI.APPNUM), sys.argv[1:], os.environ.get("WHO"), os.getcwd(), "in", where,
          "sum", everyone.allreduce(everyone.rank), flush=True)
    everyone.Free()
    parent.Disconnect()
    sys.exit()
infos = [MPI.Info.Create() for _ in range(2)]
infos[0]["env"] = "WHO=it's me"
infos[0]["wdir"] = "/usr"
if sys.argv[1:] == ["apart"]:
    for info, image in zip(infos, ("marked", "mpi")): info["env"] = "SLIPWAY_SPAWN_IMAGE=" + image
try:
    children = MPI.COMM_WORLD.Spawn_multiple([sys.executable] * 2, [[__file__, "a 'b' c"], [__file__, "$HOME"]], [1, 2], infos)
    everyone = children.Merge(False)
    print("PARENT", world.rank, "in", where, "sum", everyone.allreduce(everyone.rank), flush=True)
    everyone.Free()
    children.Disconnect()
except MPI.Exception as error:
    print("CAUGHT", error, flush=True)
"""

# Rank 0 accepts at its port, for longer than the limit; rank 1 goes to ports where nobody does first.
CONNECT = """from mpi4py import MPI
world = MPI.COMM_WORLD
port = world.bcast(MPI.Open_port() if world.rank == 0 else None)
if world.rank == 0:
    other = MPI.COMM_SELF.Accept(port)
else:
    for _ in range(2):
        try: MPI.COMM_SELF.Connect(MPI.Open_port())
        except MPI.Exception: print("CAUGHT", flush=True)
    other = MPI.COMM_SELF.Connect(port)
print("CONNECTED", world.rank, other.remote_size, flush=True)
other.Disconnect()
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
        (cls.home / "several.py").write_text(SEVERAL)
        # Of each MPI another image than the step's, that can be told from it.
        for marked, image in (("marked", "mpi"), ("marked-5", "mpi-trixie")):
            recipe = cls.home / f"{marked}.def"
            recipe.write_text(f"Bootstrap: localimage\nFrom: {t.image(image)}\n%environment\n    export IMAGE_MARK={marked}\n")
            t.run([t.SLIPWAY, "build", cls.home / f"{marked}.sif", recipe], timeout=300, check=0)
            cls.cluster("image", "add", cls.home / f"{marked}.sif", marked, check=0, timeout=300)

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

    def test_a_connect_where_nobody_accepts_ends_with_the_users_limit_and_an_accept_waits_on(self):
        for image in ("mpi", "mpi-trixie"):
            with self.subTest(image):
                done = self.cluster("launch", "-N2", "-n2", "--mpi-timeout=4", "--image", image, "--", "python3", "-c", CONNECT)
                self.assertEqual(sorted(done.stdout.split("\n")), ["", "CAUGHT", "CAUGHT", "CONNECTED 0 1", "CONNECTED 1 1"], done.stderr)
                self.assertEqual(len(re.findall(r"rank 1: .*:accept was not there within 4 s \(--mpi-timeout\): nobody accepts at that port", done.stderr)),
                                 2, done.stderr)

    def test_ranks_are_spawned_into_an_image_that_the_step_may_have(self):
        # By default, and by name and on one node, from where no child has spoken to the parent on the other one.
        for image, marked, choice in (("mpi", "marked", ""), ("mpi", "marked", "env=SLIPWAY_SPAWN_IMAGE=marked host=n1"),
                                      ("mpi-trixie", "marked-5", ""), ("mpi-trixie", "marked-5", "env=SLIPWAY_SPAWN_IMAGE=marked-5 host=n1")):
            with self.subTest(image, choice=choice):
                images = marked if not choice else f"tiny,{marked}"
                output = self.job(image, f"slipway launch -N2 -n2 --mpi=pmix --spawn-image={images} -- "
                                         f"python3 {self.home}/spawn.py well {choice}")
                for rank in (0, 1):
                    self.assertRegex(output, rf"CHILD {rank} of 2 in {marked} on n[12] sum 6")
                    self.assertRegex(output, rf"PARENT {rank} in none on n[12] sum 6")
                self.assertIn("WENT ON", output)

    def test_several_programs_are_spawned_into_one_world_of_another_image(self):
        for image, marked in (("mpi", "marked"), ("mpi-trixie", "marked-5")):
            with self.subTest(image):
                output = self.job(image, f"slipway launch -N2 -n2 --mpi=pmix --spawn-image={marked} -- python3 {self.home}/several.py")
                self.assertRegex(output, rf'CHILD 0 of 3 program 0 \["a .b. c"\] it.s me /usr in {marked} on n[12] sum 10')
                for rank in (1, 2):
                    self.assertRegex(output, rf"CHILD {rank} of 3 program 1 \['\$HOME'\] None {self.home} in {marked} on n[12] sum 10")
                for rank in (0, 1):
                    self.assertRegex(output, rf"PARENT {rank} in none on n[12] sum 10")

    def test_programs_of_one_spawn_that_name_two_images_are_an_error(self):
        output = self.job("mpi", f"slipway launch -n1 --mpi=pmix --spawn-image=marked,mpi -- python3 {self.home}/several.py apart")
        self.assertRegex(output, "CAUGHT MPI_ERR")
        self.assertIn("name image marked and image mpi: they are one world, in containers of one image", output)

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
