#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What Open MPI brings to its first fence, and whether the exchange between nodes is faster with it compressed (compression.c says how that
is summed up).

  tests/perf/compression.py [--rounds 50]

Each node is one after the other a network and host name of its own, with as many real ranks; ob1 is Open MPI's own TCP, ucx UCX's. Beside
that 1 KiB of each rank: cut from the same data at other places ("like"), and noise. As root, with libopenmpi-dev, libpmix-dev, libzstd-dev,
liblz4-dev and zlib1g-dev.
"""
import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from perf import HELLO

HERE = pathlib.Path(__file__).resolve().parent
LAYOUTS = ((4, 4), (4, 16), (63, 16))
MPI = {"ob1": {"OMPI_MCA_pml": "ob1"},
       "ucx": {"OMPI_MCA_pml": "ucx", "OMPI_MCA_pml_ucx_tls": "any", "OMPI_MCA_pml_ucx_devices": "any"}}
SETTINGS = {"OMPI_MCA_schizo": "^orte", "OMPI_MCA_mpi_yield_when_idle": "1", "PMIX_MCA_gds": "hash"}
# A node's network is a pair of interfaces that lead to each other.
NODE = """set -e
hostname node$1
ip link set lo up
ip link add eth0 type veth peer name eth1
ip addr add 10.1.$(($1 / 250)).$(($1 % 250 + 1))/16 dev eth0
ip link set eth0 up
ip link set eth1 up
shift
exec "$@"
"""


def built(home, source, compiler, *flags):
    program = home / pathlib.Path(source).stem
    subprocess.run([compiler, "-D_GNU_SOURCE", "-O2", "-o", program, source, *flags], check=True)
    return str(program)


def fence_data(home, host, hello, mpi, nodes, ranks):
    """Files, one for each node."""
    files = []
    for node in range(nodes):
        file = home / f"{mpi}.{nodes}x{ranks}.{node}"
        command = [host, "--node", str(node), str(nodes), str(file), str(ranks), hello]
        subprocess.run(["unshare", "-un", "sh", "-c", NODE, "node", str(node), *command], check=True, timeout=60,
                       env={**os.environ, **SETTINGS, **MPI[mpi]})
        files.append(file)
    return files


def written(home, name, parts):
    files = []
    for node, part in enumerate(parts):
        file = home / f"{name}.{node}"
        file.write_bytes(part)
        files.append(file)
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = str(parser.parse_args().rounds)
    randomly = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="slipway-compression-") as folder:
        home = pathlib.Path(folder)
        (home / "hello.c").write_text(HELLO)
        hello = built(home, home / "hello.c", "mpicc")
        pmix = subprocess.run(["pkg-config", "--cflags", "--libs", "pmix"], check=True, capture_output=True, text=True).stdout.split()
        host = built(home, HERE / "forking_host.c", "gcc", *pmix)
        compression = built(home, HERE / "compression.c", "gcc", "-lzstd", "-llz4", "-lz")

        def show(name, files):
            print(f"{name} of {len(files)} nodes:", flush=True)
            subprocess.run([compression, rounds, *files], check=True)

        parts = []
        for mpi in MPI:
            for nodes, ranks in LAYOUTS:
                files = fence_data(home, host, hello, mpi, nodes, ranks)
                show(f"{mpi}, {ranks} ranks on each", files)
                parts = [file.read_bytes() for file in files]
        for size in (128, 256, 512, 1024):  # where it begins to pay
            for nodes in (2, 4):
                show(f"ucx, its first {size} bytes", written(home, "cut", [part[:size] for part in parts[:nodes]]))
        whole = b"".join(parts)

        def like():
            at = randomly.randrange(len(whole) - 1024)
            return whole[at:at + 1024]

        for name, of_rank in (("like", like), ("noise", lambda: randomly.randbytes(1024))):
            for nodes, ranks in LAYOUTS[1:]:
                parts = [b"".join(of_rank() for _ in range(ranks)) for _ in range(nodes)]
                show(f"1 KiB {name} of {ranks} ranks on each", written(home, name, parts))


if __name__ == "__main__":
    main()
