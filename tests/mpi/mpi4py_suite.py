#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mpi4py's own tests, four ranks on two nodes: under this host, and under Open MPI's own mpirun in the same containers.

A script, not a test of CI: it takes minutes. SOURCE is the folder `test` of mpi4py's sources of the image's version (3.1.4 in
images/mpi.def), or "-" for Debian's, which a mirror may not have. Prints the scores, each test that failed, and of which the
two do not agree; the exit code is 1 when a test fails here alone, or the suite does not end. Arguments of its runner may follow
(-i NAME: these files alone; -e: all but these).
As root (an account is made and removed): tests/mpi/mpi4py_suite.py SOURCE [ARGUMENT…]
"""
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import slipway_testing as t
from debian_source import debian_source
from two_nodes import mpirun

# TMPDIR: the files of MPI-IO must be the same on both nodes, which /tmp is not. In TCP between "nodes" that are one machine, and with more ranks than processors.
# Each of four ranks spawns up to ten at once: the job has room for them.
ENVIRONMENT = "OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_rmaps_base_oversubscribe=1"


def score(text):
    ran = [int(n) for n in re.findall(r"^Ran (\d+) tests", text, re.M)]
    failed = sorted(set(re.findall(r"^(?:FAIL|ERROR): (\S+ \(\S+\))", text, re.M)))
    ended = re.findall(r"^(OK.*|FAILED.*)$", text, re.M)
    return f"{max(ran, default=0)} tests on {len(ran)} ranks: {', '.join(sorted(set(ended))) or 'did not end'}", failed


def run(cluster, home, image, name, inner):
    script = home / f"{name}.sh"
    script.write_text(f"#!/bin/sh\ncd {home}/test\nexport {ENVIRONMENT} TMPDIR={home}\nexec timeout 1500 {inner}\n")
    job = cluster.submit("-N2", "-n64", "--image", image, "--output", home / f"{name}.out", str(script))
    ended = cluster.wait_end(job, 1600)
    text = (home / f"{name}.out").read_text(errors="replace")
    return ended["exit_code"], text, *score(text)


def main():
    image = "mpi"
    account = t.Account("slipway-mpi")
    cluster = None
    try:
        cluster = t.Cluster(nodes=2, user=account.entry, cores=32)
        home = pathlib.Path(account.entry.pw_dir)
        shutil.copytree(debian_source("mpi4py", home / "sources") / "test" if sys.argv[1] == "-" else sys.argv[1], home / "test")
        # Its runner wants a library that Debian packs apart (python3-distutils, of this machine).
        shutil.copytree("/usr/lib/python3.11/distutils", home / "test/distutils")
        cluster("image", "add", t.image(image), image, check=0, timeout=300)
        # The tests of mpi4py alone (no build of it beside them), one test after another in the same order on all ranks.
        suite = f"python3 runtests.py --no-builddir {' '.join(sys.argv[2:])}"
        results = {}
        for name, inner in (("slipway", f"slipway launch -N2 -n4 -- {suite}"), ("mpirun", f"{mpirun(home, 2)} {suite}")):
            code, text, line, failed = results[name] = run(cluster, home, image, name, inner)
            print(f"{name}: exit code {code}, {line}", flush=True)
            for test in failed:
                print(f"  {test}")
            if "did not end" in line:
                print("\n".join(text.splitlines()[-15:]))
        ours, theirs = (set(results[name][3]) for name in ("slipway", "mpirun"))
        print("they agree" if ours == theirs else f"failed here alone: {sorted(ours - theirs)}; under mpirun alone: {sorted(theirs - ours)}")
        ended = "did not end" not in results["slipway"][2]
        return 0 if ended and ours <= theirs else 1
    finally:
        if cluster:
            cluster.down()
        account.remove()


if __name__ == "__main__":
    sys.exit(main())
