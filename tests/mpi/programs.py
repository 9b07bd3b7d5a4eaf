#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""NetPIPE, HPC Challenge and NWChem over two nodes under this host, and under Open MPI's mpirun in the same containers
(MPICH's: under its mpiexec on one node). Prints what each said of itself, and whether the two agree.

A script, not a test of CI: images take minutes. As root (an account is made and removed):
tests/mpi/programs.py [netpipe netpipe-mpich hpcc nwchem nwchem-mpich osu]
osu is the OSU micro-benchmarks or the Intel MPI Benchmarks as sources in the folder OSU=… or IMB=… of the environment.
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


class Programs:
    def __init__(self, cluster, home):
        self.cluster, self.home = cluster, home

    def run(self, image, nodes, *lines):
        """A batch script of an allocation; what it wrote."""
        if image not in self.cluster("image", "ls").stdout:
            self.cluster("image", "add", t.image(image), image, check=0, timeout=300)
        script = self.home / "run.sh"
        script.write_text("#!/bin/sh\ncd $HOME\n" + "\n".join(lines) + "\n")
        job = self.cluster.submit(f"-N{nodes}", f"-n{8 * nodes}", "--image", image, "--output", self.home / "out", str(script))
        ended = self.cluster.wait_end(job, 1800)
        text = (self.home / "out").read_text(errors="replace")
        assert ended["exit_code"] == 0, f"exit code {ended['exit_code']}: {text[-800:]}"
        return text

    def pair(self, image, program, ranks, extract, host="mpirun"):
        """The same program twice; `extract` finds in its output what is to be compared."""
        other = f"{mpirun(self.home, ranks // 2)} {program}" if host == "mpirun" else f"mpiexec.hydra -n {ranks} {program}"
        text = self.run(image, 2, f"slipway launch -N2 -n{ranks} -- {program} || exit 1", "echo OTHER-SIDE", f"{other} || exit 1")
        ours, theirs = text.split("OTHER-SIDE\n")
        return extract(ours), extract(theirs)

    def netpipe(self, image="mpi-openmpi", program="NPopenmpi", host="mpirun"):
        # " 12:  64 bytes  N times -->  X Mbps in Y usec"
        ours, theirs = self.pair(image, f"{program} -u 1048576 -o /dev/null 2>&1", 2, lambda text: re.findall(r"(\d+) bytes +\d+ times --> +([\d.]+) Mbps in +([\d.]+) usec", text), host)
        assert [row[0] for row in ours] == [row[0] for row in theirs] and len(ours) > 20, (len(ours), len(theirs))
        small, large = (float(ours[0][2]), float(theirs[0][2])), (float(ours[-1][1]), float(theirs[-1][1]))
        return f"{len(ours)} sizes; {ours[0][0]} byte in {small[0]} us, {small[1]} under {host}; {ours[-1][0]} bytes at {large[0]:.0f} Mbps, {large[1]:.0f}"

    def netpipe_mpich(self):
        return self.netpipe("mpich", "NPmpich2", "mpiexec on one node")

    def hpcc(self):
        shutil.copy(t.SOURCE / "images/demo/hpccinf.txt", self.home / "hpccinf.txt")
        found = {}
        for name, launcher in (("slipway", "slipway launch -N2 -n4 --"), ("mpirun", mpirun(self.home, 2))):
            self.run("mpi", 2, "rm -f hpccoutf.txt", f"{launcher} hpcc || exit 1")
            text = (self.home / "hpccoutf.txt").read_text(errors="replace")
            found[name] = {"Success": re.findall(r"^Success=(\d)", text, re.M), "PASSED": len(re.findall(r"PASSED", text)),
                           "FAILED": len(re.findall(r"\bFAILED", text)), "residuals": re.findall(r"\|\|Ax-b\|\|.*= +([\d.]+)", text)}
        return f"{found['slipway']}; mpirun {'the same' if found['slipway'] == found['mpirun'] else found['mpirun']}"

    def nwchem(self, image="nwchem-openmpi", host="mpirun"):
        (self.home / "water.nw").write_text(WATER)
        ours, theirs = self.pair(image, "nwchem water.nw", 4, lambda text: re.findall(r"Total SCF energy = +(-?[\d.]+)", text), host)
        assert ours, "no energy"
        return f"SCF energy {ours}, under {host} {'the same' if ours == theirs else theirs}"

    def nwchem_mpich(self):
        return self.nwchem("nwchem-mpich", "mpiexec on one node")

    def osu(self):
        """Built in the image, with its own mpicc."""
        source = os.environ.get("OSU") or os.environ.get("IMB")
        if not source:
            return "left out: their sources are named by OSU=… or IMB=…"
        shutil.copytree(source, self.home / "bench", symlinks=True)
        t.run(["chown", "-R", str(self.cluster.user.pw_uid), self.home / "bench"], check=0)
        build = "./configure CC=mpicc CXX=mpicxx && make -j2" if os.environ.get("OSU") else "make CC=mpicc CXX=mpicxx IMB-MPI1"
        program = "find bench -name osu_latency -type f" if os.environ.get("OSU") else "echo bench/IMB-MPI1"
        text = self.run("mpi-openmpi", 2, f"(cd bench && {build}) >build.log 2>&1 || exit 1", f"slipway launch -N2 -n2 -- $({program}) || exit 1")
        return "\n".join(text.splitlines()[-12:])


def main():
    chosen = sys.argv[1:] or ["netpipe", "netpipe-mpich", "hpcc"]
    account = t.Account("slipway-mpi")
    cluster = None
    try:
        cluster = t.Cluster(nodes=2, user=account.entry, cores=16)
        programs = Programs(cluster, pathlib.Path(account.entry.pw_dir))
        for name in chosen:
            try:
                print(f"{name}: {getattr(programs, name.replace('-', '_'))()}", flush=True)
            except AssertionError as why:
                print(f"{name}: fails: {why}", flush=True)
    finally:
        if cluster:
            cluster.down()
        account.remove()


if __name__ == "__main__":
    main()
