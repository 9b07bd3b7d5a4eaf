#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An array of short jobs by several builds in turns: a machine's speed drifts by more than what is looked for between two runs.

Arguments: BUILD… (build folders, as build/release), or `--rounds N BUILD…` (default 12). Each build has a cluster of its own, all are up for
all of the time, and one runs an array after the other. Prints the medians of the wall clock and of the machine's processor time
for each job. Needs root and an otherwise idle machine.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import time

JOBS = 100


def busy_ms():
    """Of all processors, since the machine's start."""
    user, nice, system, _, _, irq, softirq = map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + irq + softirq) * 1000 / os.sysconf("SC_CLK_TCK")


def serve():
    """One build's cluster: an array for each line on stdin, answered by its milliseconds."""
    import perf
    import slipway_testing as t
    account = t.Account(f"slipway-perf{os.getpid() % 1000}")
    folders, cluster = perf.RunFoldersInMemory(4), None
    try:
        folders.enter()
        cluster = t.Cluster(nodes=4, user=account.entry, cores=8)
        cluster("image", "add", t.image("tiny"), "tiny", check=0, timeout=300)
        cluster("launch", "-N4", "--mpi=none", "--image", "tiny", "--", "true", check=0, timeout=300)
        print("up", flush=True)
        for _ in sys.stdin:
            before, begin = busy_ms(), time.perf_counter()
            cluster("submit", "--wait", "--image", "tiny", "--array", f"1-{JOBS}", "--output", "/dev/null", "--wrap", "true", check=0, timeout=300)
            print((time.perf_counter() - begin) * 1000, (busy_ms() - before) / JOBS, flush=True)
    finally:
        folders.leave()  # lazily; a cluster does not remove what is mounted
        if cluster:
            cluster.down()
        account.remove()


def main():
    argv = sys.argv[1:]
    if os.environ.get("SLIPWAY_ARRAY_TURNS"):
        return serve()
    rounds = int(argv[1]) if argv[:1] == ["--rounds"] else 12
    builds = [str(pathlib.Path(b).resolve()) for b in (argv[2:] if argv[:1] == ["--rounds"] else argv)]
    if not builds or os.geteuid() != 0:
        print(__doc__.strip())
        return 2
    servers = []
    try:
        for build in builds:
            servers.append(subprocess.Popen([sys.executable, __file__], env=dict(os.environ, SLIPWAY_BUILD=build, SLIPWAY_ARRAY_TURNS="1"),
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            assert servers[-1].stdout.readline() == "up\n", f"{build}: no cluster"
        rows = [[] for _ in builds]
        for turn in range(rounds + 1):
            for found, server in zip(rows, servers):
                time.sleep(0.3)
                server.stdin.write("\n")
                server.stdin.flush()
                row = [float(word) for word in server.stdout.readline().split()]
                if turn != 0:  # warm
                    found.append(row)
    finally:
        for server in servers:
            server.stdin.close()
            server.wait(timeout=60)
    for build, found in zip(builds, rows):
        wall, cpu = (statistics.median(column) for column in zip(*found))
        print(f"{wall:7.0f} ms for {JOBS} jobs, {cpu:5.1f} ms of processor a job ({min(r[1] for r in found):.1f}–{max(r[1] for r in found):.1f}): {build}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
