#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""NetPIPE, HPC Challenge and NWChem on two nodes under this host, and under Open MPI's mpirun in the same containers
(MPICH's: under its mpiexec on one node). Prints a row of docs/mpi.md's table for each; the exit code is 1 when a program fails
or its results are not those of the other side.

A script, not a test of CI: images take minutes. As root (an account is made and removed):
tests/mpi/programs.py [netpipe netpipe-mpich hpcc nwchem nwchem-mpich osu]
osu is the OSU micro-benchmarks or the Intel MPI Benchmarks as sources in the folder OSU=… or IMB=… of the environment: Debian
has neither.
"""
import os
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import slipway_testing as t
from two_nodes import mpirun

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


# The same on both sides: this host sets it only where ranks are more than the node's cores, and on a busy machine it is all that counts.
YIELD = "export OMPI_MCA_mpi_yield_when_idle=1"


class Differs(Exception):
    """The two sides of a program do not agree; its text says in what."""


def same(ours, theirs, least=1):
    """What both sides have in common; Differs when they have not, or fewer than `least` of it."""
    if ours != theirs or len(ours) < least:
        raise Differs(f"here {ours}, there {theirs}")
    return ours


class Programs:
    def __init__(self, cluster, home):
        self.cluster, self.home, self.added = cluster, home, set()

    def run(self, image, nodes, *lines):
        """A batch script of an allocation; what it wrote."""
        if image not in self.added:
            self.cluster("image", "add", t.image(image), image, check=0, timeout=300)
            self.added.add(image)
        script = self.home / "run.sh"
        script.write_text("#!/bin/sh\ncd $HOME\n" + "\n".join(lines) + "\n")
        job = self.cluster.submit(f"-N{nodes}", f"-n{8 * nodes}", "--image", image, "--output", self.home / "out", str(script))
        ended = self.cluster.wait_end(job, 1800)
        text = (self.home / "out").read_text(errors="replace")
        if ended["exit_code"] != 0:
            raise Differs(f"exit code {ended['exit_code']}: {text[-800:]}")
        return text

    def version(self, image, package):
        return self.run(image, 1, f"dpkg-query -W -f '${{Version}}' {package}").strip()

    def pair(self, image, program, ranks, host):
        """What the same program wrote here and there; the batch script fails where one of them does."""
        other = f"{mpirun(self.home, ranks // 2)} {program}" if host == "mpirun" else f"mpiexec.hydra -n {ranks} {program}"
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
        shutil.copy(t.SOURCE / "images/demo/hpccinf.txt", self.home / "hpccinf.txt")
        found = []
        for launcher in ("slipway launch -N2 -n4 --", mpirun(self.home, 2)):
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
        if not alone or ours not in ([], alone):
            raise Differs(f"one rank has {alone}, two have {ours}")
        ends = f"SCF energy {ours[0]}" if ours else "ends without an energy"
        return f"NWChem {self.version(image, image)}, water", "1 x 1, 1 x 2", f"one rank: SCF energy {alone[0]}; two: {ends}", f"two under {host}: {ends}"

    def nwchem_mpich(self):
        return self.nwchem("nwchem-mpich", "mpiexec")

    def osu(self):
        """Built in the image, with its own mpicc."""
        source = os.environ.get("OSU") or os.environ.get("IMB")
        if not source:
            raise Differs("their sources are named by OSU=… or IMB=…")
        shutil.copytree(source, self.home / "bench", symlinks=True)
        t.run(["chown", "-R", str(self.cluster.user.pw_uid), self.home / "bench"], check=0)
        build = "./configure CC=mpicc CXX=mpicxx && make -j2" if os.environ.get("OSU") else "make CC=mpicc CXX=mpicxx IMB-MPI1"
        program = "find bench -name osu_latency -type f" if os.environ.get("OSU") else "echo bench/IMB-MPI1"
        self.run("mpi-openmpi", 1, f"(cd bench && {build}) >build.log 2>&1 || exit 1")
        sides = [re.findall(r"^ *(\d+) +([\d.]+)", text, re.M) for text in self.pair("mpi-openmpi", f"$({program})", 2, "mpirun")]
        same(*([row[0] for row in side] for side in sides), 10)
        return "OSU or Intel MPI Benchmarks", "2 x 1", *(f"{side[0][0]} bytes {side[0][1]} us, {side[-1][0]} bytes {side[-1][1]} us" for side in sides)


def main():
    chosen = sys.argv[1:] or ["netpipe", "netpipe-mpich", "hpcc", "nwchem", "nwchem-mpich"]
    account = t.Account("slipway-mpi")
    cluster = None
    wrong = 0
    try:
        cluster = t.Cluster(nodes=2, user=account.entry, cores=16)
        programs = Programs(cluster, pathlib.Path(account.entry.pw_dir))
        for name in chosen:
            try:
                print(f"| {' | '.join(getattr(programs, name.replace('-', '_'))())} | agrees |", flush=True)
            except Differs as why:
                wrong += 1
                print(f"| {name} | DIFFERS: {why} |", flush=True)
        return 1 if wrong else 0
    finally:
        if cluster:
            cluster.down()
        account.remove()


if __name__ == "__main__":
    sys.exit(main())
