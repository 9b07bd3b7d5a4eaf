#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Slipway beside its peers in one run: container start, step launch, MPI hello, jobs per second.

Prints medians and ratios (a ratio is the median of the pairwise ratios: each round runs every contender once, in turn).
Absolute times say little: machines differ and are shared. Peers: Slurm from Debian's packages; Apptainer from PATH or by
SLIPWAY_PERF_APPTAINER (a command prefix, e.g. one that enters another root). What is missing is said and left out.
Arguments name parts: starts, launches, mpi, steps, jobs; without any, all.
"""
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import time

import slipway_testing as t
from slurm_peer import SlurmPeer

ROUNDS = int(os.environ.get("SLIPWAY_PERF_ROUNDS", "7"))


def timed(argv, user=None, env=None):
    started = time.perf_counter()
    t.run(argv, user=user, env=env, check=0, timeout=300)
    return (time.perf_counter() - started) * 1000


def compare(title, contenders, rounds=ROUNDS):
    """contenders: {name: callable → milliseconds}; the first is ours."""
    for run in contenders.values():
        run()  # warm-up
    times = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            times[name].append(run())
    names = list(contenders)
    print(f"\n{title} (median of {rounds})")
    for name in names:
        ratio = statistics.median(a / b for a, b in zip(times[names[0]], times[name]))
        print(f"  {name:44} {statistics.median(times[name]):9.1f} ms   ours is {ratio:.3f}×")
    sys.stdout.flush()


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
        f.write("3")


def container_start(user, tiny):
    def ours():
        return timed([t.SLIPWAY, "exec", tiny, "/bin/true"], user)
    contenders = {"slipway exec (rootless, squashfuse)": ours}
    prefix = os.environ.get("SLIPWAY_PERF_APPTAINER") or shutil.which("apptainer")
    if prefix:
        # A prefix that enters another root has to be root's; it drops to the user by itself ("… -u USER apptainer").
        who = None if "SLIPWAY_PERF_APPTAINER" in os.environ else user
        argv = [*shlex.split(prefix.replace("USER", user.pw_name)), "exec", tiny, "/bin/true"]
        contenders["apptainer exec (user namespace, squashfuse)"] = lambda: timed(argv, who)
    else:
        print("apptainer: not here; set SLIPWAY_PERF_APPTAINER to a command prefix")
    compare("container start, a user's own SIF, warm", contenders)

    def cold(run):
        def dropped():
            drop_caches()
            return run()
        return dropped
    compare("container start, a user's own SIF, cold (page cache dropped)", {name: cold(run) for name, run in contenders.items()}, rounds=5)


# Without a program that tells the time: its own start would count.
STEPS = """#!/bin/bash
i=0
while [ $i -lt {rounds} ]; do
  a=${{EPOCHREALTIME/[.,]/}}
  {launch} || exit 1
  b=${{EPOCHREALTIME/[.,]/}}
  echo "ms $((b - a))"
  i=$((i + 1))
done
"""


def steps(cluster, slurm, nodes, tasks, rounds=11):
    """Step launch inside an allocation: timed by the batch script itself; the first is the warm-up."""
    def figures(text):
        values = [int(line.split()[1]) / 1000 for line in text.splitlines() if line.startswith("ms ")]
        assert len(values) == rounds, text
        return values[1:]
    home = cluster.user.pw_dir
    script = f"{home}/steps.sh"
    with open(script, "w", encoding="ascii") as f:
        f.write(STEPS.format(rounds=rounds, launch=f"slipway launch -N{nodes} -n{tasks} --mpi=none -- /bin/true"))
    cluster("submit", "--wait", "--image", "tiny", "-N", nodes, "-n", tasks, "--output", f"{home}/steps.out", script, check=0, timeout=300)
    ours = figures(open(f"{home}/steps.out", encoding="ascii").read())
    print(f"\nstep launch in an allocation, {tasks} task(s) on {nodes} node(s) (median of {rounds - 1})")
    print(f"  {'slipway launch (in containers)':44} {statistics.median(ours):9.1f} ms")
    if slurm:
        path = slurm.dir / "steps.sh"
        path.write_text(STEPS.format(rounds=rounds, launch=f"srun -N{nodes} -n{tasks} /bin/true"))
        done = slurm.run(["salloc", "-Q", f"-N{nodes}", f"-n{tasks}", "bash", path])
        theirs = figures(done.stdout)
        print(f"  {'srun (no container)':44} {statistics.median(theirs):9.1f} ms   ours is "
              f"{statistics.median(ours) / statistics.median(theirs):.3f}×")
    sys.stdout.flush()


class RunFoldersInMemory:
    """A node has its run folder in memory (/run is); a dev node's lies on the disk, unless there is a tmpfs when its cluster comes up."""

    def __init__(self, nodes):
        self.places = [pathlib.Path(f"/var/lib/slipway/dev/t{os.getpid()}/nodes/n{k}/run") for k in range(1, nodes + 1)]

    def enter(self):
        for place in self.places:
            place.mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "slipway-perf", place], check=True)

    def leave(self):
        for place in filter(os.path.ismount, self.places):
            subprocess.run(["umount", "--lazy", place], check=True)


def jobs_per_second(cluster, slurm, count=100):
    def ours():
        started = time.perf_counter()
        cluster("submit", "--wait", "--image", "tiny", "--array", f"1-{count}", "--output", "/dev/null", "--wrap", "true", check=0, timeout=300)
        return (time.perf_counter() - started) * 1000
    contenders = {f"slipway: {count} container jobs of `true`": ours}
    if slurm:
        def theirs():
            started = time.perf_counter()
            done = slurm.run(["sbatch", "--wait", f"--array=1-{count}", "-o", "/dev/null", "--wrap", "true"])
            assert done.returncode == 0, done.stderr
            return (time.perf_counter() - started) * 1000
        contenders[f"slurm: {count} jobs of `true`, no container"] = theirs
    compare("short jobs, submit to end", contenders, rounds=3)


HELLO = """
#include <mpi.h>
int main(int argc, char** argv) {
  int rank, sum;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  return MPI_Finalize();
}
"""
# What Slipway sets by itself, for the other side.
SAME = ["env", "OMPI_MCA_mtl=^psm,psm2,ofi", "OMPI_MCA_btl=^openib,uct,ofi,usnic", "OMPI_MCA_mpi_yield_when_idle=1",
        "HWLOC_PLUGINS_BLACKLIST=hwloc_xml_libxml.so,hwloc_gl.so,hwloc_opencl.so"]


def mpi_hello(cluster, slurm):
    """A C program, so that it is MPI that is timed: from launch to exit."""
    if shutil.which("mpicc.openmpi") is None:
        print("MPI hello: mpicc.openmpi (libopenmpi-dev) is not here")
        return
    ours, theirs = launchers(cluster, slurm)
    program = f"{cluster.user.pw_dir}/hello"
    with open(f"{program}.c", "w", encoding="ascii") as f:
        f.write(HELLO)
    t.run(["mpicc.openmpi", "-O2", "-o", program, f"{program}.c"], check=0)
    for nodes, tasks in ((4, 16), (4, 4), (1, 4)):
        where = [f"-N{nodes}", f"-n{tasks}"]
        contenders = {"slipway launch (in containers)": ours(*where, "--image", "mpi", "--", program)}
        if slurm:
            contenders["srun --mpi=pmix (no container)"] = theirs(*where, "--mpi=pmix", program)
            contenders["the same, with the settings Slipway makes"] = theirs(*where, "--mpi=pmix", *SAME, program)
        compare(f"MPI hello (C), {tasks} ranks on {nodes} node(s)", contenders)


def launchers(cluster, slurm):
    """The two commands beside each other: words → a callable that times them."""
    def ours(*argv):
        return lambda: timed([t.SLIPWAY, "launch", *argv], cluster.user, {"SLIPWAY_CONTEXT": cluster.context})

    def theirs(*argv):
        return lambda: timed([*slurm.prefix(), "srun", *argv])
    return ours, theirs


def launches(cluster, slurm):
    ours, theirs = launchers(cluster, slurm)
    hello = "from mpi4py import MPI; MPI.COMM_WORLD.Barrier()"
    for title, mine, other in [
            ("launch with a new allocation, 1 task on 1 node", ["-n1", "--mpi=none", "--image", "tiny", "--", "/bin/true"], ["-n1", "/bin/true"]),
            ("launch with a new allocation, 16 tasks on 4 nodes", ["-N4", "-n16", "--mpi=none", "--image", "tiny", "--", "/bin/true"], ["-N4", "-n16", "/bin/true"]),
            ("MPI hello (mpi4py), 16 ranks on 4 nodes", ["-N4", "-n16", "--image", "mpi", "--", "python3", "-c", hello],
             ["-N4", "-n16", "--mpi=pmix", "/usr/bin/python3", "-c", hello])]:
        contenders = {"slipway launch (in containers)": ours(*mine)}
        if slurm:
            contenders["srun (no container)"] = theirs(*other)
        compare(title, contenders, rounds=5)


def main():
    parts = sys.argv[1:] or ["starts", "launches", "mpi", "steps", "jobs"]
    if not t.ROOT:
        print("perf: needs root (kernel mounts, and Slurm's daemons)")
        return
    account = t.Account("slipway-perf")
    slurm = cluster = memory = None
    try:
        tiny, mpi = t.image("tiny"), t.image("mpi")
        if "starts" in parts:
            container_start(account.entry, tiny)
        memory = RunFoldersInMemory(4)
        memory.enter()
        cluster = t.Cluster(nodes=4, user=account.entry, cores=8)
        cluster("image", "add", tiny, "tiny", check=0, timeout=300)
        cluster("image", "add", mpi, "mpi", check=0, timeout=300)
        why = SlurmPeer.missing()
        if why:
            print("slurm:", why)
        else:
            slurm = SlurmPeer(nodes=4)
        print(f"load {os.getloadavg()[0]:.1f}")
        if "steps" in parts:
            steps(cluster, slurm, 1, 1)
            steps(cluster, slurm, 4, 16)
        if "launches" in parts:
            launches(cluster, slurm)
        if "mpi" in parts:
            mpi_hello(cluster, slurm)
        if "jobs" in parts:
            jobs_per_second(cluster, slurm)
    finally:
        if memory:
            memory.leave()
        if cluster:
            cluster.down()
        if slurm:
            slurm.down()
        account.remove()


if __name__ == "__main__":
    main()
