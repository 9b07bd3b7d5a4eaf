#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Open MPI in containers where it needs more of its host than a wire-up: ranks that outlive a dead one (ULFM of Open MPI 5,
Debian 13), and memory of a neighbour that is read in one copy (CMA)."""
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
