#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which MPI libraries, of which Debian, wire up under this host: hello, spawn and NetPIPE on two nodes.

A script, not a test of CI: the images of Debian 13 take minutes to build. Prints one row of docs/mpi.md's table for each
image. As root (an account is made and removed): tests/mpi/clients.py [IMAGE…]; the exit code is 1 when one fails that
should work.
"""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import slipway_testing as t

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


class Clients:
    def __init__(self, cluster, home):
        self.cluster, self.home = cluster, home

    def hello(self, image, how, *options):
        argv = ["python3", "-c", HELLO_PY] if how == "python" else [self.home / "hello", "hasty"]
        # The limit is the job's own: what hangs shall say who is missing.
        done = self.cluster("launch", "-N2", "-n4", "--mpi-timeout", "60", *options, "--image", image, "--", *argv, timeout=300)
        version = re.search(r"sum 6 (.*)", done.stdout)
        return verdict(done, [f"RANK {rank} of 4 sum 6" for rank in range(4)]), version[1] if version else "?"

    def spawn(self, image):
        (self.home / "spawn.py").write_text(SPAWN_PY)
        script = self.home / "spawn.sh"
        script.write_text(f"#!/bin/sh\nexec timeout 60 slipway launch -N2 -n2 --image {image} -- python3 {self.home}/spawn.py\n")
        job = self.cluster.submit("-N2", "-n4", "--image", image, "--output", self.home / "spawn.out", str(script))
        ended = self.cluster.wait_end(job)
        text = (self.home / "spawn.out").read_text()
        return verdict(subprocess.CompletedProcess([], ended["exit_code"], text, ""), ["SPAWNED 2"])

    def netpipe(self, image, program):
        # A number of repeats of its own: NetPIPE's lasts as long as it finds long enough, which on a busy machine has no end.
        done = self.cluster("launch", "-N2", "-n2", "--env", "OMPI_MCA_mpi_yield_when_idle=1", "--image", image, "--", program, "-u", "1024", "-n", "20", "-o", "/dev/null",
                            timeout=300)
        # NetPIPE writes its results to stderr: "  0:  1 bytes  N times -->  X Mbps in Y usec".
        return verdict(subprocess.CompletedProcess([], done.returncode, done.stdout + done.stderr, ""), ["Mbps in", "1024 bytes"])


def main():
    wrong = 0
    chosen = sys.argv[1:] or [name for name in IMAGES if name != "mpi-sid"]  # whose packages change from day to day
    account = t.Account("slipway-mpi")
    cluster = None
    try:
        cluster = t.Cluster(nodes=2, user=account.entry, cores=8)
        home = pathlib.Path(account.entry.pw_dir)
        (home / "hello.c").write_text(HELLO_C)
        subprocess.run(["mpicc.mpich", "-o", home / "hello", home / "hello.c"], check=True)
        clients = Clients(cluster, home)
        for image in chosen:
            how, netpipe = IMAGES[image]
            cluster("image", "add", t.image(image), image, check=0, timeout=300)
            rows = {}
            for option in ("--mpi=auto", "--mpi=pmix", "--mpi=pmi1"):
                rows[option], version = clients.hello(image, how, option)
                if version != "?":
                    rows["version"] = version
            if how == "python":
                rows["spawn"] = clients.spawn(image)
            if netpipe:
                rows[netpipe] = clients.netpipe(image, netpipe)
            for what, result in rows.items():
                # PMI-1 is offered to all, and Open MPI has no use for it.
                wrong += result.startswith("fails") and (what, how) != ("--mpi=pmi1", "python") and (what, how) != ("--mpi=pmix", "abi")
                print(f"| {image} | {what} | {result} |", flush=True)
        return 1 if wrong else 0
    finally:
        if cluster:
            cluster.down()
        account.remove()


if __name__ == "__main__":
    sys.exit(main())
