#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LAMMPS's own "melt" over two nodes: the energies must be those of plain mpirun in the same image.

A script, not a test of CI: its image takes minutes. As root (an account is made and removed): tests/mpi/lammps.py
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import slipway_testing as t

INPUT = "/opt/lammps/in.melt"


def energies(text):
    """The rows of LAMMPS's table: step, temperature, pair energy, molecule energy, total energy, pressure."""
    return re.findall(r"^\s*(\d+(?:\s+-?[\d.]+){5})\s*$", text, re.M)


def main():
    account = t.Account("slipway-mpi")
    cluster = None
    try:
        cluster = t.Cluster(nodes=2, user=account.entry, cores=8)
        cluster("image", "add", t.image("lammps"), "lammps", check=0, timeout=300)
        run = ("lmp", "-in", INPUT, "-log", "none")
        ours = cluster("launch", "-N2", "-n4", "--image", "lammps", "--", *run, check=0, timeout=300).stdout
        plain = cluster("launch", "-N1", "-n1", "-c4", "--image", "lammps", "--", "mpirun", "--oversubscribe", "-n", "4",
                        *run, check=0, timeout=300).stdout
        print(f"{len(energies(ours))} rows on two nodes, {len(energies(plain))} under mpirun; last: {energies(ours)[-1]}")
        same = energies(ours) == energies(plain) and len(energies(ours)) > 2
        print("the same energies" if same else f"other energies; mpirun's last: {energies(plain)[-1]}")
        return 0 if same else 1
    finally:
        if cluster:
            cluster.down()
        account.remove()


if __name__ == "__main__":
    sys.exit(main())
