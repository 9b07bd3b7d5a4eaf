#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LAMMPS's own "melt" and Lennard-Jones benchmark, four ranks over two nodes: the energies must be those of plain mpirun over
the same nodes, in the same image. The exit code is the number of inputs that differ.

A script, not a test of CI: its image takes minutes. As root (an account is made and removed): tests/mpi/lammps.py
"""
import re
import sys

from two_nodes import YIELD, two_nodes

INPUTS = ("in.melt", "in.lj")


def energies(text):
    """The rows of LAMMPS's table: step, temperature, pair energy, molecule energy, total energy, pressure."""
    return re.findall(r"^\s*(\d+(?:\s+-?[\d.]+){5})\s*$", text, re.M)


def main():
    different = 0
    with two_nodes() as site:
        for name in INPUTS:
            run = f"lmp -in /opt/lammps/{name} -log none"
            code, output = site.batch("lammps", YIELD, f"slipway launch -N2 -n4 -- {run} >ours", f"{site.mpirun(2)} {run} >plain", timeout=600)
            ours, plain = (energies((site.home / side).read_text()) for side in ("ours", "plain"))
            print(f"{name}: exit code {code}, {len(ours)} rows here, {len(plain)} under mpirun; last: {ours[-1:]}")
            same = ours == plain and len(ours) > 2
            print("the same energies" if same else f"other energies; mpirun's last: {plain[-1:]}\n{output[-500:]}")
            different += not same
    return different


if __name__ == "__main__":
    sys.exit(main())
