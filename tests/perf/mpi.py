#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What MPI costs under this host, beside the same without it: one run, contenders in turns, medians and ratios.

  tests/perf/mpi.py [--rounds 5] [--without-slurm] [PART…]       parts: ready fence pingpong hello (all)

ready     from stepd's start to a PMIx server that ranks may connect to: 16 ranks here of 64, and of 16,000 on 1,000 nodes
fence     of 4 nodes, 1 KiB of each rank; beside it the network's round trip, and Slurm's own PMIx plugin
pingpong  latency and bandwidth (the fastest tenth) of two ranks on one node and on two, in containers and the same program outside of them,
          in the same nodes' namespaces, by Open MPI's own mpirun
hello     launch to exit on one node, beside a PMIx host that only forks (forking_host.c)

As root (an account and virtual nodes are made and removed), with libopenmpi-dev and libpmix-dev; the peer is perf.py's Slurm.
Not hello under a real-time priority: ranks that spin would keep the processors for ever.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import slipway_testing as t
from perf import HELLO, SAME, timed
from slurm_peer import SlurmPeer

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = dict(word.split("=", 1) for word in SAME[1:])


def built(home, name, compiler, *libraries):
    """A program of this folder (or of HELLO), for the user."""
    source = HERE / f"{name}.c"
    if not source.exists():
        source = home / f"{name}.c"
        source.write_text(HELLO)
    subprocess.run([compiler, "-D_GNU_SOURCE", "-O2", "-o", home / name, source, *libraries], check=True)
    return str(home / name)


def pmix_flags():
    return subprocess.run(["pkg-config", "--cflags", "--libs", "pmix"], check=True, capture_output=True, text=True).stdout.split()


def figures(pattern, text):
    found = re.search(pattern, text)
    assert found, text
    return [float(word) for word in found.groups()]


def in_turns(contenders, rounds):
    """{name: callable → figures} → {name: list of figures}, after a round that only warms."""
    for run in contenders.values():
        run()
    values = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            values[name].append(run())
    return values


def ratio(ours, theirs):
    return statistics.median(a / b for a, b in zip(ours, theirs))


class Measurement:
    def __init__(self, cluster, slurm, rounds):
        self.cluster, self.slurm, self.rounds = cluster, slurm, rounds
        self.user = cluster.user
        self.home = pathlib.Path(self.user.pw_dir)

    def launch(self, *argv):
        return self.cluster("launch", *argv, check=0, timeout=120).stdout

    def by_srun(self, *argv):
        done = self.slurm.run(["srun", *argv])
        assert done.returncode == 0, f"srun {argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def ready(self):
        for nodes, ranks in ((4, 16), (1000, 16)):
            done = t.run([t.BUILD / "tests/perf_pmix_ready", nodes, ranks, 2 * self.rounds + 1, t.BIN / "slipway-stepd-pmix"], check=0)
            print(done.stdout.strip())

    def fence(self):
        program = built(self.home, "fence", "gcc", *pmix_flags())
        pattern = r"fence ([\d.]+) round-trip ([\d.]+)"
        for ranks in (4, 16):
            where = ["-N4", f"-n{ranks}"]
            contenders = {"slipway": lambda: figures(pattern, self.launch(*where, "--image", "mpi", "--", program))}
            if self.slurm:
                contenders["srun --mpi=pmix"] = lambda: figures(pattern, self.by_srun(*where, "--mpi=pmix", program))
            values = in_turns(contenders, self.rounds)
            for name, rows in values.items():
                print(f"fence of 4 nodes, {ranks} ranks, 1 KiB each, {name}: {statistics.median(r[0] for r in rows):.0f} us; a round trip of the "
                      f"network is {statistics.median(r[1] for r in rows):.0f} us, {100 * ratio([r[1] for r in rows], [r[0] for r in rows]):.1f} % of it; "
                      f"ours is {ratio([r[0] for r in values['slipway']], [r[0] for r in rows]):.2f}x")

    def outside(self, nodes, program):
        """mpirun in the network and host-name namespaces of the cluster's nodes, with a /tmp and a /dev/shm for each, without
        containers. As root: an ordinary user cannot enter them."""
        agent = self.home / "enter"
        own = "for d in /tmp /dev/shm; do mount -t tmpfs none $d; done"
        pids = {f"n{i}": self.cluster.pid(f"n{i}-agent") for i in range(1, nodes + 1)}
        cases = "".join(f"{name}) pid={pid};;\n" for name, pid in pids.items())
        agent.write_text(f"#!/bin/sh\nhost=$1; shift\ncase $host in\n{cases}esac\n"
                         f"exec nsenter -t $pid -n -u unshare -m --propagation private sh -c \"{own}; $*\"\n")
        agent.chmod(0o755)
        argv = [agent, "n1", "env", "HOME=/root", *(f"{k}={v}" for k, v in SETTINGS.items() if "yield" not in k), "mpirun", "--allow-run-as-root",
                "--bind-to", "none", "--mca", "plm_rsh_agent", agent, "--mca", "oob_tcp_if_include", "eth0", "--mca", "btl_tcp_if_include", "eth0",
                "--host", ",".join(f"{name}:{2 // nodes}" for name in pids), "-n", "2", program]
        return t.run(argv, check=0, timeout=120, cwd="/").stdout

    def pingpong(self):
        program = built(self.home, "pingpong", "mpicc.openmpi")
        pattern = r"latency ([\d.]+) bandwidth ([\d.]+)"
        for nodes in (1, 2):
            values = in_turns({
                "in": lambda: figures(pattern, self.launch(f"-N{nodes}", "-n2", "--image", "mpi", "--", program)),
                "out": lambda: figures(pattern, self.outside(nodes, program))}, self.rounds)
            for at, what, unit in ((0, "latency", "us"), (1, "bandwidth", "MB/s")):
                ours, theirs = ([row[at] for row in values[name]] for name in ("in", "out"))
                print(f"ping-pong on {nodes} node(s), {what}: {statistics.median(ours):.2f} {unit} in containers, "
                      f"{statistics.median(theirs):.2f} outside, {ratio(ours, theirs):.3f}x")

    def hello(self):
        program = built(self.home, "hello", "mpicc.openmpi")
        host = built(self.home, "forking_host", "gcc", *pmix_flags())
        where = ["-N1", "-n16", "--image", "mpi", "--", program]
        context = {"SLIPWAY_CONTEXT": self.cluster.context}
        values = in_turns({"slipway": lambda: timed([t.SLIPWAY, "launch", *where], self.user, context),
                           "host": lambda: timed([host, "16", program], self.user, {**SETTINGS, "OMPI_MCA_schizo": "^orte"})}, self.rounds)
        print(f"MPI hello, 16 ranks on one node: {statistics.median(values['slipway']):.0f} ms in a container, launch to exit; a host that only forks "
              f"{statistics.median(values['host']):.0f} ms, {ratio(values['slipway'], values['host']):.2f}x")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--without-slurm", action="store_true")
    options.add_argument("parts", nargs="*", metavar="PART", help="ready fence pingpong hello")
    chosen = options.parse_args()
    account = t.Account("slipway-perf")
    cluster = slurm = None
    try:
        why = "as asked" if chosen.without_slurm else SlurmPeer.missing()
        cluster = t.Cluster(nodes=4, user=account.entry, cores=16)
        cluster("image", "add", t.image("mpi"), "mpi", check=0, timeout=300)
        if why:
            print("slurm: left out,", why)
        else:
            slurm = SlurmPeer(nodes=4)
        measurement = Measurement(cluster, slurm, chosen.rounds)
        for part in chosen.parts or ["ready", "fence", "pingpong", "hello"]:
            print(f"load {os.getloadavg()[0]:.1f}")
            getattr(measurement, part)()
            sys.stdout.flush()
    finally:
        if cluster:
            cluster.down()
        if slurm:
            slurm.down()
        account.remove()


if __name__ == "__main__":
    main()
