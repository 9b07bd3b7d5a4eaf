#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""NetPIPE, HPC Challenge and NWChem on two nodes under this host, and under Open MPI's mpirun in the same containers
(MPICH's: under its mpiexec on one node). Prints a row of docs/mpi.md's table for each; the exit code is 1 when a program fails
or its results are not those of the other side.

A script, not a test of CI: images take minutes. As root (an account is made and removed):
tests/mpi/programs.py [netpipe netpipe-mpich hpcc nwchem nwchem-mpich]
"""
import pathlib
import re
import shutil
import sys

from two_nodes import YIELD, two_nodes

SOURCE = pathlib.Path(__file__).resolve().parents[2]

WATER = """start water
geometry units angstrom
 O 0.0 0.0 0.1173
 H 0.0 0.7572 -0.4692
 H 0.0 -0.7572 -0.4692
end
basis
 * library 6-31g
end
task scf energy
"""


class Differs(Exception):
    """The two sides of a program do not agree; its text says in what."""


def same(ours, theirs, least=1):
    """What both sides have in common; Differs when they have not, or fewer than `least` of it."""
    if ours != theirs or len(ours) < least:
        raise Differs(f"here {ours}, there {theirs}")
    return ours


class Programs:
    def __init__(self, site):
        self.site, self.home = site, site.home

    def run(self, image, nodes, *lines):
        """What a batch script of these lines wrote; Differs where it failed."""
        code, text = self.site.batch(image, *lines, nodes=nodes, cpus=8 * nodes)
        if code != 0:
            raise Differs(f"exit code {code}: {text[-800:]}")
        return text

    def version(self, image, package):
        return self.run(image, 1, f"dpkg-query -W -f '${{Version}}' {package}").strip()

    def pair(self, image, program, ranks, host):
        """What the same program wrote here and there; the batch script fails where one of them does."""
        other = f"{self.site.mpirun(ranks // 2)} {program}" if host == "mpirun" else f"mpiexec.hydra -n {ranks} {program}"
        text = self.run(image, 2, YIELD, f"slipway launch -N2 -n{ranks} -- {program} || exit 1", "echo OTHER-SIDE", f"{other} || exit 1")
        return text.split("OTHER-SIDE\n")

    def netpipe(self, image="mpi-openmpi", program="NPopenmpi", package="netpipe-openmpi", host="mpirun"):
        # A number of repeats of its own: NetPIPE's lasts as long as it finds long enough, which on a busy machine has no end.
        # "-i" checks what arrives: " 12:  64 bytes  N times -->  Integrity check passed"; without it "… -->  X Mbps in Y usec".
        checked = same(*(re.findall(r"(\d+) bytes.*(passed|failed)", text, re.I) for text in self.pair(image, f"{program} -i -n 10 -u 65536 -o /dev/null 2>&1", 2, host)), 20)
        if any("f" in verdict.lower() for _, verdict in checked):
            raise Differs(f"bytes that did not arrive as sent, on both sides: {checked}")
        timed = [re.findall(r"(\d+) bytes +\d+ times --> +([\d.]+) Mbps in +([\d.]+) usec", text)
                 for text in self.pair(image, f"{program} -n 10 -u 16384 -o /dev/null 2>&1", 2, host)]
        same(*([row[0] for row in side] for side in timed), 20)
        figures = [f"{float(side[0][2]):.0f} us, {float(side[-1][1]):.0f} Mbps" for side in timed]
        return (f"NetPIPE {self.version(image, package)}, {host}", "2 x 1", f"{len(checked)} sizes arrive as sent; {figures[0]}", f"the same; {figures[1]}")

    def netpipe_mpich(self):
        return self.netpipe("mpich", "NPmpich2", "netpipe-mpich2", "mpiexec")

    def hpcc(self):
        shutil.copy(SOURCE / "images/demo/hpccinf.txt", self.home / "hpccinf.txt")
        found = []
        for launcher in ("slipway launch -N2 -n4 --", self.site.mpirun(2)):
            self.run("mpi", 2, YIELD, "rm -f hpccoutf.txt", f"{launcher} hpcc || exit 1")
            text = (self.home / "hpccoutf.txt").read_text(errors="replace")
            found.append({"Success": re.findall(r"^Success=(\d)", text, re.M), "passed": len(re.findall(r"PASSED", text)), "failed": len(re.findall(r"\bFAILED", text)),
                          "residuals": re.findall(r"\|\|Ax-b\|\|.*= +([\d.]+)", text)})
        ours = same(*found, 4)
        if ours["Success"] != ["1"] or ours["failed"] or not ours["residuals"]:
            raise Differs(f"both sides say that they failed: {ours}")
        return f"HPC Challenge {self.version('mpi', 'hpcc')}", "2 x 2", f"{ours['passed']} checks passed, residuals {', '.join(ours['residuals'])}", "the same"

    def nwchem(self, image="nwchem-openmpi", host="mpirun"):
        """One rank alone here, then two of one node on both sides, which Debian's MPIs do not let end (docs/mpi.md)."""
        (self.home / "water.nw").write_text(WATER)
        program = f"timeout 150 {image.replace('-', '.')} water.nw"
        launcher = "mpirun --oversubscribe -n 2" if host == "mpirun" else "mpiexec.hydra -n 2"
        text = self.run(image, 1, YIELD, f"slipway launch -n1 --mpi=none -- {program} || exit 1", *(f"rm -f water.db water.movecs; echo OTHER-SIDE; {side} {program}"
                        for side in ("slipway launch -N1 -n2 --", launcher)), "exit 0")
        alone, ours, theirs = (re.findall(r"Total SCF energy = +(-?[\d.]+)", side) for side in text.split("OTHER-SIDE\n"))
        same(ours, theirs, 0)
        if not alone:
            raise Differs("one rank has no energy")
        # Debian's builds do not always get two ranks right, whoever starts them: what counts is that both sides say the same.
        ends = f"SCF energy {ours[0]}{'' if ours == alone else ', which is not that of one'}" if ours else "ends without an energy"
        return f"NWChem {self.version(image, image)}, water", "1 x 1, 1 x 2", f"one rank: SCF energy {alone[0]}; two: {ends}", f"two under {host}: {ends}"

    def nwchem_mpich(self):
        return self.nwchem("nwchem-mpich", "mpiexec")


def main():
    chosen = sys.argv[1:] or ["netpipe", "netpipe-mpich", "hpcc", "nwchem", "nwchem-mpich"]
    wrong = 0
    with two_nodes(cores=16) as site:
        programs = Programs(site)
        for name in chosen:
            try:
                print(f"| {' | '.join(getattr(programs, name.replace('-', '_'))())} | agrees |", flush=True)
            except Differs as why:
                wrong += 1
                print(f"| {name} | DIFFERS: {why} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
