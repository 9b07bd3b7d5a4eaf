#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where the processor time of a short job goes: an array of `true` on 4 virtual nodes, by program, user and kernel.

The daemons and all that they start are sampled by `perf record` (cpu-clock), so that other work on the machine does not count.
Arguments: [COUNT] jobs of the array (default 200). Needs root and perf.
"""
import collections
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import slipway_testing as t

HZ = 4999
DAEMONS = ("slipwayd", "agent", "broker", "holder")


def pids(cluster):
    """{pid: program} of the cluster's daemons."""
    found = {}
    for file in (cluster.state / "run").glob("*.pid"):
        kind = next((d for d in DAEMONS if d in file.stem), file.stem)
        found[int(file.read_text())] = kind
    return found


def sampled(daemons, work):
    data = tempfile.mktemp(prefix="slipway-perf-", suffix=".data")
    recorder = subprocess.Popen(["perf", "record", "-q", "-o", data, "-F", str(HZ), "-e", "cpu-clock", "-p",
                                 ",".join(map(str, daemons))], stderr=subprocess.PIPE)
    time.sleep(1)
    try:
        work()
    finally:
        recorder.send_signal(signal.SIGINT)
        recorder.communicate()
    try:
        script = subprocess.run(["perf", "script", "-i", data, "-F", "comm,pid,ip,dso"], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, check=True).stdout.decode(errors="replace")
    finally:
        os.unlink(data)
    ms = collections.Counter()
    for line in script.splitlines():
        match = re.match(r"\s*(.*?)\s+(\d+)\s+[0-9a-f]+\s+\((.*)\)$", line)
        if match:
            comm, pid, dso = match[1], int(match[2]), match[3]
            side = "kernel" if "kernel" in dso or dso.endswith(".ko") else "user"
            ms[daemons.get(pid, f"{comm} (started)"), side] += 1000 / HZ
    return ms


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    if not t.ROOT or shutil.which("perf") is None:
        print("array_cpu: needs root and perf")
        return
    account = t.Account("slipway-perf")
    cluster = None
    try:
        cluster = t.Cluster(nodes=4, user=account.entry, cores=8)
        cluster("image", "add", t.image("tiny"), "tiny", check=0, timeout=300)

        def array(jobs):
            cluster("submit", "--wait", "--image", "tiny", "--array", f"1-{jobs}", "--output", "/dev/null", "--wrap", "true",
                    check=0, timeout=300)
        # The image is everywhere: a batch job's is on its first node only.
        cluster("launch", "-N4", "--image", "tiny", "--", "true", check=0, timeout=300)
        array(16)
        ms = sampled(pids(cluster), lambda: array(count))
    finally:
        if cluster:
            cluster.down()
        account.remove()
    programs = sorted({program for program, _ in ms}, key=lambda p: -ms[p, "user"] - ms[p, "kernel"])
    print(f"load {os.getloadavg()[0]:.1f}; ms of processor for each of {count} jobs")
    print(f"{'program':28} {'user':>7} {'kernel':>7} {'both':>7}")
    for program in programs:
        user, kernel = ms[program, "user"] / count, ms[program, "kernel"] / count
        print(f"{program:28} {user:7.2f} {kernel:7.2f} {user + kernel:7.2f}")
    user = sum(v for (_, side), v in ms.items() if side == "user") / count
    both = sum(ms.values()) / count
    print(f"{'all':28} {user:7.2f} {both - user:7.2f} {both:7.2f}")


if __name__ == "__main__":
    main()
