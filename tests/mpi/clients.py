#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which MPI libraries, of which Debian, wire up under this host: hello, spawn and NetPIPE on two nodes.

A script, not a test of CI: the images of Debian 13 take minutes to build. Prints one row of docs/mpi.md's table for each
image. As root (an account is made and removed): tests/mpi/clients.py [IMAGE…]; the exit code is 1 when one fails that
should work.
"""
import re
import subprocess
import sys

from two_nodes import two_nodes

HELLO_C = r"""
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char** argv) {
  int rank, size, sum = 0, length;
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  MPI_Get_library_version(version, &length);
  printf("RANK %d of %d sum %d %.20s\n", rank, size, sum, version);
  fflush(stdout);
  if (argc > 1) _exit(0);
  MPI_Finalize();
}
"""
HELLO_PY = """from mpi4py import MPI
c = MPI.COMM_WORLD
print("RANK", c.rank, "of", c.size, "sum", c.allreduce(c.rank), MPI.Get_library_version()[:20], flush=True)
"""
SPAWN_PY = """import sys
from mpi4py import MPI
parent = MPI.Comm.Get_parent()
if parent == MPI.COMM_NULL:
    children = MPI.COMM_WORLD.Spawn(sys.executable, [__file__], maxprocs=2)
    if MPI.COMM_WORLD.rank == 0: print("SPAWNED", children.remote_size, flush=True)
    children.Disconnect()
else:
    parent.Disconnect()
"""
# image: (how a hello is run, which NetPIPE)
IMAGES = {"mpi": ("python", None), "mpich": ("abi", "NPmpich2"), "mpi-sid": ("python", "NPopenmpi"),
          "mpi-trixie": ("python", "NPopenmpi"), "mpich-trixie": ("abi", "NPmpich2")}


def verdict(done, expected):
    found = all(word in done.stdout for word in expected)
    if done.returncode == 0 and found:
        return "works"
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return f"fails ({done.returncode}): {' / '.join(lines[-2:])[:160]}"


def hello(site, image, how, *options):
    argv = ["python3", "-c", HELLO_PY] if how == "python" else [site.home / "hello", "hasty"]
    # The limit is the job's own: what hangs shall say who is missing.
    done = site.cluster("launch", "-N2", "-n4", "--mpi-timeout", "60", *options, "--image", image, "--", *argv, timeout=300)
    version = re.search(r"sum 6 (.*)", done.stdout)
    return verdict(done, [f"RANK {rank} of 4 sum 6" for rank in range(4)]), version[1] if version else "?"


def spawn(site, image):
    (site.home / "spawn.py").write_text(SPAWN_PY)
    code, text = site.batch(image, f"exec timeout 60 slipway launch -N2 -n2 --image {image} -- python3 {site.home}/spawn.py", name="spawn", cpus=4, timeout=120)
    return verdict(subprocess.CompletedProcess([], code, text, ""), ["SPAWNED 2"])


def netpipe(site, image, program):
    # A number of repeats of its own: NetPIPE's lasts as long as it finds long enough, which on a busy machine has no end.
    done = site.cluster("launch", "-N2", "-n2", "--env", "OMPI_MCA_mpi_yield_when_idle=1", "--image", image, "--", program, "-u", "1024", "-n", "20", "-o", "/dev/null",
                        timeout=300)
    # NetPIPE writes its results to stderr: "  0:  1 bytes  N times -->  X Mbps in Y usec".
    return verdict(subprocess.CompletedProcess([], done.returncode, done.stdout + done.stderr, ""), ["Mbps in", "1024 bytes"])


def rows_of(site, image):
    """What was tried: how it ended."""
    how, netpipe_program = IMAGES[image]
    rows = {}
    for option in ("--mpi=auto", "--mpi=pmix", "--mpi=pmi1"):
        rows[option], version = hello(site, image, how, option)
        if version != "?":
            rows["version"] = version
    if how == "python":
        rows["spawn"] = spawn(site, image)
    if netpipe_program:
        rows[netpipe_program] = netpipe(site, image, netpipe_program)
    return rows


def main():
    wrong = 0
    chosen = sys.argv[1:] or [name for name in IMAGES if name != "mpi-sid"]  # whose packages change from day to day
    with two_nodes() as site:
        (site.home / "hello.c").write_text(HELLO_C)
        subprocess.run(["mpicc.mpich", "-o", site.home / "hello", site.home / "hello.c"], check=True)
        for image in chosen:
            site.add(image)
            for what, result in rows_of(site, image).items():
                # PMI-1 is offered to all, and Open MPI has no use for it.
                no_use = (what, IMAGES[image][0]) in (("--mpi=pmi1", "python"), ("--mpi=pmix", "abi"))
                wrong += result.startswith("fails") and not no_use
                print(f"| {image} | {what} | {result} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
