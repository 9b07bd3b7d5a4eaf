#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Durable submissions through the real API: one call each, TLS, 64 in flight; beside them, in turns, empty calls of the
same client to a server that answers at once, which is the floor. Calls a second, the CPU of server and client for one,
the slowest call while checkpoints are made, the disk's fdatasync time.

    As root (the cluster has a network of its own):
    SLIPWAY_BUILD=$PWD/build/release PYTHONPATH=tests/support tests/perf/submissions.py [--jobs 20000] [--at-once 64]
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import node
import slipway_testing as t


def cpu_seconds(pid):
    """By thread, of a process: the scheduler's own clock, which counts nanoseconds."""
    threads = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):
            name = pathlib.Path(f"/proc/{pid}/task/{task}/comm").read_text().strip()
            threads[f"{name}-{task}"] = int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0]) / 1e9
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


def toml(path):
    return dict(line.split(" = ", 1) for line in path.read_text().splitlines() if " = " in line)


class Doors:
    """The cluster's TLS door, and one beside it that answers at once, with a context for each."""

    def __init__(self, cluster, user):
        self.user, self.slipwayd = user, cluster.pid("slipwayd")
        settings = toml(cluster.state / "controller/slipway.toml")
        home = pathlib.Path(cluster.home)
        ca = home / "ca.pem"
        shutil.copy(json.loads(settings["ca"]), ca)
        ca.chmod(0o644)
        self.inside = ["nsenter", "--target", str(self.slipwayd), "--net"]
        files = [ca, json.loads(settings["cert"]), json.loads(settings["key"])]
        self.empty = subprocess.Popen([*self.inside, t.BUILD / "tests/perf_empty_server", *files], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        port = self.empty.stdout.readline().strip()
        own = toml(cluster.state / "context.toml")
        self.contexts = {}
        for name, listen in (("jobs", settings["listen"]), ("empty", json.dumps(f"127.0.0.1:{port}"))):
            self.contexts[name] = home / f"{name}.toml"
            values = dict(own, controller=listen, ca=json.dumps(str(ca)))
            self.contexts[name].write_text("".join(f"{key} = {value}\n" for key, value in values.items()))
            self.contexts[name].chmod(0o644)

    def call(self, what, calls, at_once):
        """One round of `jobs` or of `empty` calls."""
        pid = self.slipwayd if what == "jobs" else self.empty.pid
        before = cpu_seconds(pid)
        done = t.run([*self.inside, "setpriv", "--reuid", self.user.pw_uid, "--regid", self.user.pw_gid, "--clear-groups",
                      t.BUILD / "tests/perf_submissions", calls, at_once, *(["empty"] if what == "empty" else [])],
                     env={"SLIPWAY_CONTEXT": str(self.contexts[what])}, timeout=600, check=0)
        after = cpu_seconds(pid)
        figures = json.loads(done.stdout)
        spent = {name: after[name] - before.get(name, 0) for name in after}
        cpu = sum(spent.values())
        top = sorted(spent.items(), key=lambda entry: -entry[1])[:6]
        return {"calls": what, "per_s": round(calls / figures["seconds"]), "slowest_ms": figures["slowest_ms"],
                "server_cpu_us": round(1e6 * cpu / calls, 1), "client_cpu_us": round(1e6 * figures["client_cpu_s"] / calls, 1),
                "server_cores": round(cpu / figures["seconds"], 2),
                "threads_us": {name: round(1e6 * s / calls, 1) for name, s in top}, "load": round(os.getloadavg()[0], 1)}

    def close(self):
        self.empty.stdin.close()
        self.empty.wait()


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
            with tempfile.TemporaryDirectory() as folder:
                os.chmod(folder, 0o755)
                cluster("image", "add", node.tiny_image(pathlib.Path(folder)), "tiny", check=0, timeout=120)
            with contextlib.closing(Doors(cluster, account.entry)) as doors:
                for _ in range(options.rounds):
                    floor = doors.call("empty", options.jobs, options.at_once)
                    print(json.dumps(floor), flush=True)
                    sync_ms = fdatasync_ms(cluster.state)
                    real = doors.call("jobs", options.jobs, options.at_once)
                    ratio = (real["server_cpu_us"] + real["client_cpu_us"]) / (floor["server_cpu_us"] + floor["client_cpu_us"])
                    print(json.dumps(dict(real, fdatasync_ms=round(sync_ms, 3), cpu_over_floor=round(ratio, 2))), flush=True)
        finally:
            cluster.down()
    finally:
        account.remove()


if __name__ == "__main__":
    main()
