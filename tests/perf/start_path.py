#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the order in which the functions of a start lie in slipway-broker, both slipway-stepd and the client: the *_order.ld beside
their sources.

A job is run on a cluster while `touched` notes what the broker's children, or those of a batch script's shell, run through; the
linker's map says which input section each address belongs to. To be run anew when a start's figures have slipped; a name that is
not there any more does no harm, and one that is missing costs a page. Needs root and a build with the maps (any release build). Arguments: these programs alone.
"""
import bisect
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import slipway_testing as t

PROGRAMS = {"slipway-broker": "launcher/main/broker_order.ld", "slipway-stepd": "agent/stepd/stepd_order.ld",
            "slipway-stepd-pmix": "agent/stepd/stepd_pmix_order.ld", "slipway": "cli/front/front_order.ld", "slipway-remote": "cli/remote/remote_order.ld"}
STEP = "exec sh -c 'read go < ~/go; slipway launch -n1 --mpi=none /bin/true; true' start-path"
BIRTHS = 2  # stepd and the container's init
HELLO = "from mpi4py import MPI; MPI.COMM_WORLD.allreduce(1)"
HEAD = """/* SPDX-License-Identifier: Apache-2.0
   What a start runs through, in that order, so that it lies on few pages: made by tests/perf/start_path.py (decision 92). */
SECTIONS
{
  .text.start_path :
  {
"""


def sections(map_file):
    """[(address, bytes, section, archive:member or object)] of the program's text, sorted."""
    found, name = [], None
    text = map_file.read_text().partition("Linker script and memory map")[2]
    for line in text.splitlines():
        if alone := re.fullmatch(r" (\.text\S*)\s*", line):
            name = alone[1]
            continue
        if placed := re.fullmatch(r" (\.text\S*)?\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)", line):
            section, size = placed[1] or name, int(placed[3], 16)
            if section and size:
                member = re.fullmatch(r"(?:.*/)?([^/]+\.a)\((.*)\)", placed[4].strip())
                where = f"*{member[1]}:{member[2]}" if member else "*" + placed[4].strip().rsplit("/", 1)[-1]
                found.append((int(placed[2], 16), size, section, where))
        name = None
    return sorted(found)


def traced(parent, children, step):
    """The lines of `touched` while `step` runs and so many children of the process start and end."""
    with tempfile.TemporaryFile("w+") as noted:  # a pipe would be full before the job has ended
        tracer = subprocess.Popen([t.BUILD / "tests/perf_touched", str(parent), str(children)], stdout=noted, stderr=subprocess.PIPE, text=True)
        assert tracer.stderr.readline() == "ready\n"
        step()
        tracer.wait(timeout=60)
        noted.seek(0)
        return noted.read().splitlines()


def shell_of(name):
    """The process whose last argument this is."""
    def is_it(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"\0" + name.encode() + b"\0")
        except OSError:
            return False
    return t.wait_until(f"a shell called {name}", lambda: next((int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_it(pid)), None))


def a_step_within_its_job(cluster):
    """The lines of the client that a batch script calls."""
    home = pathlib.Path(cluster.user.pw_dir)
    os.mkfifo(home / "go")
    os.chown(home / "go", cluster.user.pw_uid, cluster.user.pw_gid)
    job = cluster.submit("-n1", "--image", "tiny", "--output", "/dev/null", "--wrap", STEP)

    def go():
        (home / "go").write_text("go\n")
        cluster.wait_end(job, 3000)
    return traced(shell_of("start-path"), 1, go)


def touched(programs):
    """{program: [address]} of a batch job's start, of an MPI step over two nodes on one of them, and of a step's client."""
    account = t.Account("slipway-perf")
    cluster = None
    try:
        cluster = t.Cluster(nodes=2, user=account.entry, cores=8)
        broker = int((cluster.state / "run/n1-broker.pid").read_text())
        lines = []
        cluster("image", "add", t.image("tiny"), "tiny", check=0, timeout=300)
        if programs & {"slipway", "slipway-remote"}:
            lines += a_step_within_its_job(cluster)
        if programs & {"slipway-broker", "slipway-stepd"}:
            job = ("submit", "--wait", "--nodelist", "n1", "--image", "tiny", "--output", "/dev/null", "--wrap", "true")
            cluster(*job, check=0, timeout=300)
            lines += traced(broker, BIRTHS, lambda: cluster(*job, check=0, timeout=300))
        if "slipway-stepd-pmix" in programs:
            cluster("image", "add", t.image("mpi"), "mpi", check=0, timeout=300)
            step = ("launch", "-N2", "-n2", "--mpi=pmix", "--mpi-timeout", "3000", "--image", "mpi", "--", "python3", "-c", HELLO)
            cluster(*step, check=0, timeout=300)
            lines += traced(broker, BIRTHS, lambda: cluster(*step, check=0, timeout=3000))
    finally:
        if cluster:
            cluster.down()
        account.remove()
    by_program = {}
    for line in lines:
        program, _, address = line.rpartition(" ")
        by_program.setdefault(pathlib.Path(program).name, []).append(int(address, 16))
    return by_program


def main():
    if not t.ROOT:
        print("start_path: needs root")
        return
    wanted = set(sys.argv[1:]) or set(PROGRAMS)
    for program, addresses in touched(wanted).items():
        if program not in wanted:
            continue
        known = sections(t.BUILD / f"{program}.map")
        starts = [s[0] for s in known]
        order, pages = {}, set()
        for address in addresses:
            at = bisect.bisect_right(starts, address) - 1
            if at >= 0 and address < known[at][0] + known[at][1]:
                order.setdefault(at)
                pages.add(address >> 12)
        body = "".join(f"    {known[at][3]}({known[at][2]})\n" for at in order)
        (t.SOURCE / PROGRAMS[program]).write_text(HEAD + body + "  }\n}\nINSERT BEFORE .text;\n")
        size = sum(known[at][1] for at in order)
        print(f"{program}: {len(order)} functions, {size} bytes; now on {len(pages)} pages, at best on {-(-size // 4096)}")


if __name__ == "__main__":
    main()
