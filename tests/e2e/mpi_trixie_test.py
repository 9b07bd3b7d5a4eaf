#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Open MPI in containers where it needs more of its host than a wire-up: ranks that outlive a dead one (ULFM of Open MPI 5,
Debian 13), and memory of a neighbour that is read in one copy (CMA)."""
import contextlib
import os
import pathlib
import signal
import unittest

import slipway_testing as t

# MPIX_* are not in mpi4py 3.1: called in the library.
SHRINK = """import ctypes, os, signal, sys
from mpi4py import MPI
world = MPI.COMM_WORLD
world.Set_errhandler(MPI.ERRORS_RETURN)
world.Barrier()
if world.rank == world.size - 1: os.kill(os.getpid(), signal.SIGKILL)
mpi = ctypes.CDLL("libmpi.so.40")
handle = ctypes.c_void_p.from_address(MPI._addressof(world))
smaller = MPI.Intracomm()
while True:
    try: world.Barrier()
    except MPI.Exception: break
mpi.MPIX_Comm_revoke(handle)
failed = mpi.MPIX_Comm_shrink(handle, ctypes.c_void_p(MPI._addressof(smaller)))
print("SHRUNK", world.rank, failed, "to", smaller.size, "sum", smaller.allreduce(world.rank), flush=True)
"""

# The ranks of the other node end with it.
OUTLIVE = """import ctypes, sys, time
from mpi4py import MPI
world = MPI.COMM_WORLD
world.Set_errhandler(MPI.ERRORS_RETURN)
world.Barrier()
print("THERE", world.rank, flush=True)
if world.rank >= 2: time.sleep(100)
mpi = ctypes.CDLL("libmpi.so.40")
handle = ctypes.c_void_p.from_address(MPI._addressof(world))
smaller = MPI.Intracomm()
while True:
    try: world.Barrier()
    except MPI.Exception: break
mpi.MPIX_Comm_revoke(handle)
failed = mpi.MPIX_Comm_shrink(handle, ctypes.c_void_p(MPI._addressof(smaller)))
print("SHRUNK", world.rank, failed, "to", smaller.size, "sum", smaller.allreduce(world.rank), flush=True)
"""

# MPI 4's sessions, which mpi4py 3.1 does not have: called in the library, whose handles are addresses of its variables.
SESSION = """import ctypes
from ctypes import byref, c_int, c_void_p
mpi = ctypes.CDLL("libmpi.so.40", ctypes.RTLD_GLOBAL)
def of(name): return c_void_p(ctypes.addressof(ctypes.c_char.in_dll(mpi, name)))
def must(code):
    if code != 0: raise SystemExit(f"MPI error {code}")
none, back = of("ompi_mpi_info_null"), of("ompi_mpi_errors_return")
session, count, names = c_void_p(), c_int(), []
must(mpi.MPI_Session_init(none, back, byref(session)))
must(mpi.MPI_Session_get_num_psets(session, none, byref(count)))
for i in range(count.value):
    length, name = c_int(256), ctypes.create_string_buffer(256)
    must(mpi.MPI_Session_get_nth_pset(session, none, i, byref(length), name))
    names.append(name.value.decode())
for pset in (b"mpi://WORLD", b"mpi://SELF"):
    group, comm, size, rank, total = c_void_p(), c_void_p(), c_int(), c_int(), c_int()
    must(mpi.MPI_Group_from_session_pset(session, pset, byref(group)))
    must(mpi.MPI_Group_size(group, byref(size)))
    must(mpi.MPI_Group_rank(group, byref(rank)))
    must(mpi.MPI_Comm_create_from_group(group, b"of " + pset, none, back, byref(comm)))
    must(mpi.MPI_Allreduce(byref(rank), byref(total), 1, of("ompi_mpi_int"), of("ompi_mpi_op_sum"), comm))
    print("SESSION", pset.decode(), rank.value, "of", size.value, "sum", total.value, pset.decode() in names, flush=True)
    must(mpi.MPI_Comm_free(byref(comm)))
    must(mpi.MPI_Group_free(byref(group)))
must(mpi.MPI_Session_finalize(byref(session)))
"""

LATE = """import time
from mpi4py import MPI
if MPI.COMM_WORLD.rank == 1: time.sleep(100)
"""

# Open MPI 4's vader chooses when it starts, and gives CMA up with a warning where the kernel refuses it: what it has settled on is in its variable.
VADER = """import ctypes
from mpi4py import MPI
world = MPI.COMM_WORLD
data = bytearray(b"x" * (4 << 20)) if world.rank == 0 else bytearray(4 << 20)
world.Send(data, 1) if world.rank == 0 else world.Recv(data, 0)
mpi, level, index, count = ctypes.CDLL("libmpi.so.40"), ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
handle, value = ctypes.c_void_p(), ctypes.c_int(-1)
assert mpi.MPI_T_init_thread(0, ctypes.byref(level)) == 0
assert mpi.MPI_T_cvar_get_index(b"btl_vader_single_copy_mechanism", ctypes.byref(index)) == 0
assert mpi.MPI_T_cvar_handle_alloc(index, None, ctypes.byref(handle), ctypes.byref(count)) == 0
assert mpi.MPI_T_cvar_read(handle, ctypes.byref(value)) == 0
print("MECHANISM", {1: "cma", 3: "none", 4: "emulated"}.get(value.value, value.value), data[-1:] == b"x", flush=True)
"""

SEND = """from mpi4py import MPI
world = MPI.COMM_WORLD
data = bytearray(b"x" * (4 << 20)) if world.rank == 0 else bytearray(4 << 20)
world.Send(data, 1) if world.rank == 0 else world.Recv(data, 0)
print("SENT", data[-1:] == b"x", flush=True)
"""


class OpenMpi(t.ClusterTest):
    NODES = 2
    IMAGES = ("mpi", "mpi-trixie")

    def ranks(self, nodes, count, image, code, *options, **variables):
        settings = [f"{name}={value}" for name, value in variables.items()]
        return self.cluster("launch", f"-N{nodes}", f"-n{count}", *options, "--image", image, "--",
                            "env", *settings, "timeout", "60", "python3", "-c", code)

    def test_ranks_go_on_without_one_that_died_where_the_step_was_asked_to(self):
        done = self.ranks(2, 4, "mpi-trixie", SHRINK, "--mpi-fault-tolerant")
        self.assertEqual(sorted(line for line in done.stdout.splitlines() if "SHRUNK" in line),
                         [f"SHRUNK {rank} 0 to 3 sum 3" for rank in range(3)], done.stdout + done.stderr)
        self.assertEqual(done.returncode, 137, done.stderr)  # and nobody takes it for a success
        self.assertIn("rank 3 on n2 was ended by signal 9", done.stderr)

    def stepd_of(self, node):
        """Of the only step there: its log is in the node's folder."""
        for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
            with contextlib.suppress(OSError):
                if comm.read_text().startswith("slipway-stepd") and f"{self.cluster.name}/nodes/{node}/" in os.readlink(comm.parent / "fd/2"):
                    return int(comm.parent.name)
        self.fail(f"no stepd on {node}")

    def test_ranks_go_on_without_a_node_that_died_where_the_step_was_asked_to(self):
        step = self.cluster.popen("launch", "-N2", "-n4", "--mpi-fault-tolerant", "--image", "mpi-trixie", "--", "timeout", "100",
                                  "python3", "-c", OUTLIVE)
        self.addCleanup(step.communicate)
        self.addCleanup(step.kill)
        lines = [step.stdout.readline() for _ in range(4)]
        self.assertEqual(sorted(lines), [f"THERE {rank}\n" for rank in range(4)])
        os.kill(self.stepd_of("n2"), signal.SIGKILL)
        self.cluster.kill("n2-agent")
        out, err = step.communicate(timeout=90)
        self.assertEqual(sorted(line for line in out.splitlines() if "SHRUNK" in line),
                         [f"SHRUNK {rank} 0 to 2 sum 1" for rank in range(2)], out + err)
        self.assertNotEqual(step.returncode, 0, err)  # and nobody takes it for a success
        self.assertIn("its ranks are taken for dead", err)

    def test_a_session_has_the_world_and_itself(self):
        done = self.ranks(2, 4, "mpi-trixie", SESSION)
        wanted = ["SESSION mpi://SELF 0 of 1 sum 0 True"] * 4 + [f"SESSION mpi://WORLD {rank} of 4 sum 6 True" for rank in range(4)]
        self.assertEqual(sorted(done.stdout.splitlines()), wanted, done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_rank_that_never_comes_to_a_fence_of_its_node_is_named(self):
        for image in ("mpi", "mpi-trixie"):
            with self.subTest(image):
                done = self.ranks(1, 2, image, LATE, "--mpi-timeout", "4")
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("a fence did not end within 4 s (--mpi-timeout); missing: rank 1 on n", done.stderr)

    def test_an_mpi_that_cannot_start_says_why_and_open_mpi_5_once_a_node(self):
        for image in ("mpi", "mpi-trixie"):
            with self.subTest(image):
                done = self.ranks(2, 4, image, SEND, OMPI_MCA_btl="self,nonsense")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("Component: nonsense", done.stderr)
                if image == "mpi-trixie":  # the other node's ranks may be ended before they come to it
                    self.assertLessEqual(done.stderr.count("Component: nonsense"), 2, done.stderr)

    def test_options_that_contradict_one_another_are_refused(self):
        done = self.cluster("launch", "-n2", "--mpi-fault-tolerant", "--kill-on-bad-exit=1", "--image", "mpi", "--", "true")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--mpi-fault-tolerant and --kill-on-bad-exit=1", done.stderr)

    def test_a_dead_rank_ends_the_others_where_nobody_asked(self):
        done = self.ranks(2, 4, "mpi-trixie", SHRINK, OMPI_MCA_mpi_ft_enable=1)
        self.assertEqual(done.returncode, 137, done.stdout + done.stderr)
        self.assertNotIn("SHRUNK", done.stdout)

    def test_open_mpi_4_reads_its_neighbours_memory(self):
        done = self.ranks(1, 2, "mpi", VADER, OMPI_MCA_btl="self,vader")
        self.assertEqual(done.stdout, "MECHANISM cma True\n" * 2, done.stderr)
        self.assertNotIn("CMA", done.stderr)

    def test_open_mpi_5_reads_its_neighbours_memory(self):
        done = self.ranks(1, 2, "mpi-trixie", SEND, OMPI_MCA_btl="self,sm", OMPI_MCA_smsc_base_verbose=100)
        self.assertEqual(done.stdout, "SENT True\n" * 2, done.stderr)
        self.assertEqual(done.stderr.count("selected shared-memory single-copy component: cma"), 2, done.stderr)

    def test_ucx_reads_its_neighbours_memory(self):
        done = self.ranks(1, 2, "mpi", SEND, OMPI_MCA_pml="ucx", OMPI_MCA_opal_common_ucx_tls="any",
                          OMPI_MCA_opal_common_ucx_devices="any", UCX_TLS="posix,cma,self", UCX_LOG_LEVEL="info")
        self.assertEqual(sum(line.endswith("SENT True") for line in done.stdout.splitlines()), 2, done.stdout + done.stderr)
        self.assertRegex(done.stdout + done.stderr, r"ep_cfg.*tag\(.*cma/memory")


if __name__ == "__main__":
    unittest.main()
