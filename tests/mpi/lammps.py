#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LAMMPS's own "melt" and Lennard-Jones benchmark, four ranks over two nodes: the energies must be those of plain mpirun over
the same nodes, in the same image. The exit code is the number of inputs that differ.

A script, not a test of CI: its image takes minutes. As root (an account is made and removed): tests/mpi/lammps.py
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import slipway_testing as t
from two_nodes import mpirun

INPUTS = ("in.melt", "in.lj")


def energies(text):
    """The rows of LAMMPS's table: step, temperature, pair energy, molecule energy, total energy, pressure."""
    return re.findall(r"^\s*(\d+(?:\s+-?[\d.]+){5})\s*$", text, re.M)


def main():
    account = t.Account("slipway-mpi")
    cluster = None
    try:
        cluster = t.Cluster(nodes=2, user=account.entry, cores=8)
        cluster("image", "add", t.image("lammps"), "lammps", check=0, timeout=300)
        home = pathlib.Path(account.entry.pw_dir)
        different = 0
        for name in INPUTS:
            run = f"lmp -in /opt/lammps/{name} -log none"
            script = home / "run.sh"
            script.write_text(f"#!/bin/sh\nslipway launch -N2 -n4 -- {run} >ours\n{mpirun(home, 2)} {run} >plain\n")
            ended = cluster.wait_end(cluster.submit("-N2", "-n16", "--image", "lammps", "--output", home / "out", str(script)), 600)
            ours, plain = (energies((home / side).read_text()) for side in ("ours", "plain"))
            print(f"{name}: exit code {ended['exit_code']}, {len(ours)} rows here, {len(plain)} under mpirun; last: {ours[-1:]}")
            same = ours == plain and len(ours) > 2
            print("the same energies" if same else f"other energies; mpirun's last: {plain[-1:]}\n{(home / 'out').read_text()[-500:]}")
            different += not same
        return different
    finally:
        if cluster:
            cluster.down()
        account.remove()


if __name__ == "__main__":
    sys.exit(main())
