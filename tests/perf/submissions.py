#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Durable submissions through the real API: one call each, TLS, 64 in flight. Jobs a second beside the disk's
fdatasync time, the CPU that slipwayd spends on one, and the slowest call while checkpoints are made.

    As root (the cluster has a network of its own):
    SLIPWAY_BUILD=build/release PYTHONPATH=tests/support tests/perf/submissions.py [--jobs 20000] [--at-once 64]
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import tempfile
import time

import node
import slipway_testing as t

HERTZ = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """By thread name, of a process."""
    threads = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as file:
            name, rest = file.read().split("(", 1)[1].rsplit(") ", 1)
        fields = rest.split()
        threads[f"{name}-{task}"] = (int(fields[11]) + int(fields[12])) / HERTZ
    return threads


def fdatasync_ms(folder, rounds=200):
    """The median of writing a page behind the end of a file and making it durable."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(rounds):
            begin = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    account = t.Account()
    try:
        cluster = t.Cluster(nodes=1, user=account.entry)
        try:
            settings = dict(line.split(" = ", 1) for line in (cluster.state / "controller/slipway.toml").read_text().splitlines()
                            if " = " in line)
            ca = pathlib.Path(cluster.home) / "ca.pem"
            shutil.copy(json.loads(settings["ca"]), ca)
            own = dict(line.split(" = ", 1) for line in (cluster.state / "context.toml").read_text().splitlines() if " = " in line)
            context = pathlib.Path(cluster.home) / "tls-context.toml"
            context.write_text("".join(f"{key} = {value}\n" for key, value in dict(
                own, controller=settings["listen"], ca=json.dumps(str(ca))).items()))
            for file in (ca, context):
                file.chmod(0o644)
            with tempfile.TemporaryDirectory() as folder:
                os.chmod(folder, 0o755)
                cluster("image", "add", node.tiny_image(pathlib.Path(folder)), "tiny", check=0, timeout=120)
            pid = cluster.pid("slipwayd")
            for _ in range(options.rounds):
                sync_ms = fdatasync_ms(cluster.state)
                before, began = cpu_seconds(pid), time.perf_counter()
                # In the cluster's network, as the account.
                done = t.run(["nsenter", "--target", pid, "--net", "setpriv", "--reuid", account.entry.pw_uid, "--regid",
                              account.entry.pw_gid, "--clear-groups", t.BUILD / "tests/perf_submissions", options.jobs,
                              options.at_once], env={"SLIPWAY_CONTEXT": str(context)}, timeout=600, check=0)
                wall = time.perf_counter() - began
                after = cpu_seconds(pid)
                figures = json.loads(done.stdout)
                spent = {name: after[name] - before.get(name, 0) for name in after}
                cpu = sum(spent.values())
                top = sorted(spent.items(), key=lambda entry: -entry[1])[:6]
                print(json.dumps({"jobs_per_s": round(figures["jobs"] / figures["seconds"]), "fdatasync_ms": round(sync_ms, 3),
                                  "slowest_call_ms": figures["slowest_ms"],
                                  "slipwayd_cpu_us_per_job": round(1e6 * cpu / figures["jobs"], 1),
                                  "slipwayd_cores": round(cpu / wall, 2),
                                  "threads_us_per_job": {name: round(1e6 * s / figures["jobs"], 1) for name, s in top},
                                  "load": os.getloadavg()[0]}), flush=True)
        finally:
            cluster.down()
    finally:
        account.remove()


if __name__ == "__main__":
    main()
