#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The OSU micro-benchmarks and the Intel MPI Benchmarks on two nodes, two ranks and four: under this host, and under Open MPI's
own mpirun in the same containers.

A script, not a test of CI: it takes minutes, and Debian packs the sources of neither: --osu and --imb name folders with your own
copies. They are built in the image mpi-openmpi (Open MPI 4.1), and what was built runs under 5.0 too, which has the same ABI.
Prints a row for each benchmark: how many message sizes it has and how long they took here, as a share of what they took under
mpirun (the median over the sizes of the medians over the runs). The exit code is 1 where one side fails, writes a line that
speaks of an error, or lacks a message size; times are not judged: this machine is busy.
As root (an account is made and removed): tests/mpi/benchmarks.py [--osu DIR] [--imb DIR] [--image NAME…] [--runs N]
"""
import argparse
import collections
import pathlib
import re
import shutil
import statistics
import sys

from two_nodes import YIELD, two_nodes

BUILDER = "mpi-openmpi"
IMAGES = {"mpi-openmpi": 4, "mpi-trixie": 5}
OSU_BUILD = "./configure CC=mpicc CXX=mpicxx && make -j2"
# -DCHECK: what arrives is looked at, and has a column of its own. Without Open MPI's old C++ face, which its warnings do not pass.
IMB_BUILD = "make CC=mpicc CXX=mpicxx CPPFLAGS='-DCHECK -DOMPI_SKIP_MPICXX' IMB-MPI1"
# OSU's: (program, its arguments, how many ranks, how many lines it has at least). Few repeats: a busy machine's times say little anyway.
OSU = (("osu_init", "", (2, 4), 1), ("osu_latency", "-i 50 -x 5", (2,), 20), ("osu_bw", "-i 20 -x 2", (2,), 20),
       ("osu_bibw", "-i 20 -x 2", (2,), 20), ("osu_barrier", "-i 50 -x 5", (2, 4), 1), ("osu_bcast", "-i 50 -x 5 -m 65536", (4,), 10),
       ("osu_allreduce", "-i 50 -x 5 -m 65536", (2, 4), 10), ("osu_allgather", "-i 50 -x 5 -m 65536", (4,), 10),
       ("osu_alltoall", "-i 50 -x 5 -m 65536", (4,), 10))
# Intel's, each with two ranks and four; message sizes of 0 and powers of two to 64 KiB, but for a barrier.
IMB = {"PingPong": 10, "PingPing": 10, "Sendrecv": 10, "Exchange": 10, "Allreduce": 10, "Reduce": 10, "Bcast": 10, "Allgather": 10, "Alltoall": 10, "Barrier": 1}
# mpirun's remote shell may have started before its parent could put it into a group of its own: it says so and goes on.
HARMLESS = "plm:ssh: Warning: setpgid("
IMB_OPTIONS = "-npmin {ranks} -iter 50 -msglog 0:16 -time 20"


class Fails(Exception):
    """What a side wrote that it should not have, or did not write."""


def osu_rows(name, text):
    """{size: time}; where the benchmark has a bandwidth, its inverse. A line without a size is size 0."""
    if name == "osu_init":
        return {0: float(found[1])} if (found := re.search(r"avg: +([\d.]+)", text)) else {}
    rows = {int(size or 0): float(value) for size, value in re.findall(r"^(?:(\d+)[ \t]+|[ \t]*)([\d.]+)[ \t]*$", text, re.M)}
    # What is printed as 0.00 is less than half a hundredth of it.
    return {size: 1 / max(value, 0.005) if "MB/s" in text else value for size, value in rows.items()}


def imb_rows(text):
    """{benchmark: {size: time}}, by the columns that each table names; Fails where a message did not arrive as sent."""
    found, columns, name = collections.defaultdict(dict), [], ""
    for line in text.splitlines():
        words = line.split()
        if line.startswith("# Benchmarking"):
            name, columns = words[2], []
        elif words and words[0] in ("#bytes", "#repetitions"):
            columns = words
        elif name and len(words) == len(columns) > 0 and words[0].isdigit():
            row = dict(zip(columns, words))
            if float(row.get("defects", 0)) != 0:
                raise Fails(f"{name}: {line.strip()}: data that did not arrive as sent")
            found[name][int(row.get("#bytes", 0))] = float(row.get("t_avg[usec]") or row.get("t[usec]") or row["t_max[usec]"])
    return found


class Benchmarks:
    def __init__(self, site, image, runs):
        self.site, self.image, self.runs, self.wrong = site, image, runs, 0

    def sides(self, program, ranks):
        """What the program wrote, each time: [here], [under mpirun]. They take turns: what else runs on the machine meets both."""
        texts = ([], [])
        for _ in range(self.runs):
            for side, launcher in zip(texts, (f"slipway launch -N2 -n{ranks} --", self.site.mpirun(ranks // 2, IMAGES[self.image]))):
                code, text = self.site.batch(self.image, YIELD, f"exec timeout 300 {launcher} {program} 2>&1", timeout=400)
                errors = [line for line in text.splitlines() if re.search(r"\b(error|fail|abort|invalid)", line, re.I) and not line.startswith("#") and HARMLESS not in line]
                if code != 0 or errors:
                    raise Fails(f"{launcher.split()[0]}: exit code {code}: {' / '.join((errors or text.splitlines())[-3:])[:300]}")
                side.append(text)
        return texts

    def row(self, name, ranks, least, ours, theirs):
        """Prints how two sides, each a list of {size: time}, compare."""
        sizes = [set().union(*side) for side in (ours, theirs)]
        whole = all(set(run) == sizes[0] for run in [*ours, *theirs])
        if not whole or len(sizes[0]) < least:
            self.fails(name, ranks, f"message sizes {sorted(sizes[0])} here, {sorted(sizes[1])} under mpirun, {least} wanted")
            return
        shares = [statistics.median(run[size] for run in ours) / max(1e-9, statistics.median(run[size] for run in theirs)) for size in sizes[0]]
        print(f"| {self.image} | {name} | 2 x {ranks // 2} | {len(sizes[0])} | {statistics.median(shares):.2f} |", flush=True)

    def fails(self, name, ranks, why):
        self.wrong += 1
        print(f"| {self.image} | {name} | 2 x {ranks // 2} | FAILS: {why} |", flush=True)

    def osu(self, built):
        for name, words, of_ranks, least in OSU:
            # The newest of them have a folder more ("standard"), and libtool leaves a copy in .libs.
            program = next(path for path in sorted(built.rglob(name)) if path.is_file() and ".libs" not in path.parts)
            for ranks in of_ranks:
                try:
                    ours, theirs = self.sides(f"{program} {words}", ranks)
                    self.row(name, ranks, least, *([osu_rows(name, text) for text in side] for side in (ours, theirs)))
                except Fails as why:
                    self.fails(name, ranks, why)

    def imb(self, built):
        for ranks in (2, 4):
            try:
                texts = self.sides(f"{built}/IMB-MPI1 {' '.join(IMB)} {IMB_OPTIONS.format(ranks=ranks)}", ranks)
                ours, theirs = ([imb_rows(text) for text in side] for side in texts)
            except Fails as why:
                self.fails("IMB-MPI1", ranks, why)
                continue
            for name, least in IMB.items():
                self.row(f"IMB {name}", ranks, least, [run[name] for run in ours], [run[name] for run in theirs])


def build(site, name, sources, command):
    """The folder where the benchmarks were built, with the image's own compilers; its last lines and an end where they cannot be."""
    shutil.copytree(sources, site.home / name, symlinks=True)
    site.own(site.home / name)
    code, text = site.batch(BUILDER, f"cd {name}", f"({command}) >build.log 2>&1 && exit", "tail -20 build.log; exit 1", name="build", nodes=1, cpus=2)
    if code != 0:
        sys.exit(f"{name} cannot be built in {BUILDER}: {text}")
    return site.home / name


def main():
    parser = argparse.ArgumentParser(description="OSU's and Intel's MPI benchmarks under slipway and under mpirun")
    parser.add_argument("--osu", type=pathlib.Path, help="a folder with the sources of the OSU micro-benchmarks")
    parser.add_argument("--imb", type=pathlib.Path, help="a folder with the sources of the Intel MPI Benchmarks")
    parser.add_argument("--image", choices=IMAGES, action="append", help="where they run (both)")
    parser.add_argument("--runs", type=int, default=3, help="how often each side runs")
    options = parser.parse_args()
    if not options.osu and not options.imb:
        parser.error("name the sources: --osu DIR, --imb DIR")
    with two_nodes(cores=16) as site:
        osu = build(site, "osu", options.osu, OSU_BUILD) if options.osu else None
        imb = build(site, "imb", options.imb, IMB_BUILD) if options.imb else None
        wrong = 0
        for image in options.image or IMAGES:
            benchmarks = Benchmarks(site, image, options.runs)
            if osu:
                benchmarks.osu(osu)
            if imb:
                benchmarks.imb(imb)
            wrong += benchmarks.wrong
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
