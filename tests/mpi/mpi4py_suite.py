#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mpi4py's own tests, four ranks on two nodes: under this host, and under Open MPI's own mpirun in the same containers.

A script, not a test of CI: it takes minutes. The sources are those of the image's version (3.1.4 in images/mpi.def, 4.0.3 in
images/mpi-trixie.def): --sources names a folder that has the suite's `test/`; without it they are Debian's, which a mirror may
not have. Prints the scores, each test that failed, and of which the two do not agree; the exit code is 1 when a test fails here
alone, or the suite does not end here. Arguments of its runner may follow a "--" (-i NAME: these files alone; -e: all but these).
As root (an account is made and removed): tests/mpi/mpi4py_suite.py [--sources DIR] [--image mpi|mpi-trixie]
[--side slipway|mpirun] [--limit SECONDS] [-- ARGUMENT…]
"""
import argparse
import pathlib
import re
import shutil
import sys

from debian_source import debian_source
from two_nodes import YIELD, two_nodes

# image: (Debian's suite, Open MPI's version, mpi4py's runner without a build beside it)
IMAGES = {"mpi": ("bookworm", 4, "runtests.py --no-builddir"), "mpi-trixie": ("trixie", 5, "main.py --no-builddir")}
# Each of four ranks spawns up to ten at once: the job has room for them.
ENVIRONMENT = "OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:OVERSUBSCRIBE PYTHONDONTWRITEBYTECODE=1"
# As long as a side may take; what hangs is ended, and its last lines are printed.
LIMIT_S = 1500


def score(text):
    """A line that says how it ended, and the set of the tests that failed on any rank."""
    ran = [int(n) for n in re.findall(r"^Ran (\d+) tests", text, re.M)]
    failed = sorted(set(re.findall(r"^(?:FAIL|ERROR): (\S+ \(\S+\))", text, re.M)))
    ended = sorted(set(re.findall(r"^(OK.*|FAILED.*)$", text, re.M)))
    return f"{max(ran, default=0)} tests on {len(ran)} ranks: {', '.join(ended) or 'did not end'}", failed


def arguments():
    parser = argparse.ArgumentParser(description="mpi4py's own tests under slipway and under mpirun")
    parser.add_argument("--sources", type=pathlib.Path, help="a folder with the suite's test/")
    parser.add_argument("--image", choices=IMAGES, default="mpi")
    parser.add_argument("--limit", type=int, default=LIMIT_S, help="seconds that each side may take")
    parser.add_argument("--side", choices=("slipway", "mpirun"), help="this one alone: nothing is compared")
    parser.add_argument("runner", nargs="*", help="arguments of the suite's runner, after a --")
    return parser.parse_args()


def main():
    options = arguments()
    suite, version, runner = IMAGES[options.image]
    with two_nodes(cores=32) as site:
        sources = options.sources or debian_source("mpi4py", site.home / "sources", suite)
        shutil.copytree(sources / "test", site.home / "test")
        if version == 4:
            # Its runner wants a library that Debian packs apart (python3-distutils, of this machine).
            shutil.copytree("/usr/lib/python3.11/distutils", site.home / "test/distutils")
        site.own(site.home / "test")
        program = f"python3 {runner} {' '.join(options.runner)}"
        failed = {}
        for name, launcher in (("slipway", "slipway launch -N2 -n4 --"), ("mpirun", site.mpirun(2, version))):
            if options.side not in (None, name):
                continue
            # TMPDIR: the files of MPI-IO must be the same on both nodes, which /tmp is not.
            code, text = site.batch(options.image, "cd test", YIELD, f"export {ENVIRONMENT} TMPDIR=$HOME",
                                    f"exec timeout {options.limit} {launcher} {program}", name=name, cpus=64, timeout=options.limit + 100)
            line, failed[name] = score(text)
            print(f"{name}: exit code {code}, {line}", *failed[name], sep="\n  ", flush=True)
            if "did not end" in line:
                print("\n".join(text.splitlines()[-15:]), flush=True)
                failed[name].append("did not end")
        return judge(failed)


def judge(failed):
    """Prints what one side has failed alone; the exit code. `failed`: of each side that ran, the names."""
    if len(failed) == 1:
        return 1 if "did not end" in next(iter(failed.values())) else 0
    ours, theirs = (set(failed[side]) for side in ("slipway", "mpirun"))
    if "did not end" in theirs:
        print("the suite did not end under mpirun: nothing to compare with; leave out what it cannot do (-- -e NAME)")
        return 1
    print(f"failed here alone: {sorted(ours - theirs)}; under mpirun alone: {sorted(theirs - ours)}" if ours != theirs else f"they agree in {len(ours)} failures")
    return 1 if ours - theirs or "did not end" in ours else 0


if __name__ == "__main__":
    sys.exit(main())
