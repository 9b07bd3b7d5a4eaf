#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand steps, one after another in one allocation, each of which leaves what it can: processes in the background, in sessions of
their own and stopped, shared memory, files in /tmp. What is there afterwards, and what agent, broker and holder hold, beside before.
Root, on a dev node with its real agent and broker. Fails when anything is left, and after a thousand also when a daemon has grown. CI
runs a hundred (e2e_nothing_left).
  PYTHONPATH=tests/support tests/perf/thousand_steps.py [--steps 1000]"""
import argparse
import contextlib
import json
import os
import pathlib
import sys
import time

import slipway_testing as t

# What a step does before it ends with success.
LITTER = ("sleep 5000 & setsid sleep 5000 & sh -c 'kill -STOP $$' & echo x > /dev/shm/left-$SLIPWAY_STEP; "
          "echo x > /tmp/left-$SLIPWAY_STEP; mkdir -p /var/tmp/left/$SLIPWAY_STEP; exit 0")

GROWTH_SHOWS = 1000  # steps; an allocator's first ones are its own business


def text(path):
    with contextlib.suppress(OSError):
        return pathlib.Path(path).read_text()
    return ""


def resident_mb(pid, what="VmRSS"):
    fields = dict(line.split(":", 1) for line in text(f"/proc/{pid}/status").splitlines() if ":" in line)
    return int(fields[what].split()[0]) / 1024


def processor_s(pid):
    fields = text(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Node:
    def __init__(self, cluster, uid):
        self.cluster, self.uid = cluster, uid
        self.daemons = {name: cluster.pid(f"n1-{name}") for name in ("agent", "broker", "holder")}

    def cgroups(self):
        """The folders below the node's own, where cgroup v2 is mounted."""
        mount = next((line.split()[4] for line in text("/proc/self/mountinfo").splitlines() if " - cgroup2 " in line), None)
        own = next((line[3:] for line in text(f"/proc/{self.daemons['holder']}/cgroup").splitlines() if line.startswith("0::/")), "/")
        if mount is None or not own.endswith("/holder"):
            return None
        return sum(len(folders) for _, folders, _ in os.walk(mount + own.removesuffix("/holder")))

    def processes(self):
        count = 0
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                count += proc.stat().st_uid == self.uid
        return count

    def files(self):
        found = []
        for folder in ("/tmp", "/var/tmp", "/dev/shm"):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    if os.lstat(f"{folder}/{name}").st_uid == self.uid:
                        found.append(f"{folder}/{name}")
        return found

    def ipc(self, kind):
        head, *rows = text(f"/proc/sysvipc/{kind}").splitlines()
        return sum(int(row.split()[head.split().index("uid")]) == self.uid for row in rows)

    def left(self):
        # Others mount on this machine, too: what is ours names the cluster's folder.
        state, host = str(self.cluster.state), text("/proc/self/mountinfo")
        mounts = [line for line in (host + text(f"/proc/{self.daemons['broker']}/mountinfo")).splitlines() if state in line]
        loops = [text(file) for file in pathlib.Path("/sys/block").glob("loop*/loop/backing_file")]
        return {"processes": self.processes(), "mounts": len(mounts), "FUSE mounts": sum(" - fuse" in m and " - fusectl" not in m for m in mounts),
                "loop devices": sum(state in file for file in loops),
                "System V IPC": sum(self.ipc(kind) for kind in ("shm", "sem", "msg")),
                "cgroups": self.cgroups(), "files": self.files(),
                "run folders": sorted(os.listdir(next(self.cluster.state.rglob("n1/run/steps")))),
                **{f"descriptors of {name}": descriptors(pid) for name, pid in self.daemons.items()}}

    def resident(self):
        return {name: round(resident_mb(pid), 1) for name, pid in self.daemons.items()}


def idle(node, seconds):
    before = {name: processor_s(pid) for name, pid in node.daemons.items()}
    time.sleep(seconds)
    return {name: f"{100 * (processor_s(pid) - before[name]) / seconds:.2f} %" for name, pid in node.daemons.items()}


def run(cluster, node, steps):
    def submit(count):
        loop = f'for i in $(seq {count}); do slipway launch -n 1 -- sh -c "$LITTER" || exit 9; done'
        return cluster.submit("--image", "tiny", "-n", 1, "--output", "/dev/null", "--time", "60", "--wrap", loop, env={"LITTER": LITTER})
    first = cluster.wait_end(submit(10), 300)  # the image is mounted, caches are warm
    assert first["state"] == "COMPLETED", first
    t.wait_until("nothing of the user's runs", lambda: node.processes() == 0)
    before, resident = node.left(), node.resident()
    begin = time.monotonic()
    job = submit(steps)
    stepd = 0
    while not cluster.job(job).get("ended"):
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, KeyError, IndexError):
                if (proc / "comm").read_text() .startswith("slipway-stepd"):
                    stepd = max(stepd, resident_mb(proc.name))
        time.sleep(1)
    ended = cluster.job(job)
    assert ended["state"] == "COMPLETED", ended
    print(f"{steps} steps in {time.monotonic() - begin:.0f} s; the largest stepd that was seen: {stepd:.1f} MB")
    with contextlib.suppress(AssertionError):
        t.wait_until("all is as before", lambda: node.left() == before, 60)
    after = node.left()
    print("left:", json.dumps(after))
    print("resident, MB, before:", resident, "after:", node.resident(), "of that not of files:",
          {name: round(resident_mb(pid, "RssAnon"), 1) for name, pid in node.daemons.items()})
    if steps >= GROWTH_SHOWS:
        print("idle, of a core:", idle(node, 30))
    more = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    grown = {name: (resident[name], now) for name, now in node.resident().items() if now > resident[name] + 2 and steps >= GROWTH_SHOWS}
    return more, grown


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    if not t.ROOT:
        print("skipped: needs root, for a broker that makes cgroups and mounts")
        return 77
    account = t.Account()
    cluster = None
    try:
        image = t.image("tiny")
        cluster = t.Cluster(nodes=1, user=account.entry, cores=8)
        cluster("image", "add", image, "tiny", check=0, timeout=300)
        cluster.set_agent("n1", private_tmp="64M")
        t.wait_until("the node is up", lambda: cluster.node("n1")["state"] == "UP")
        more, grown = run(cluster, Node(cluster, account.entry.pw_uid), options.steps)
    finally:
        if cluster is not None:
            cluster.down()
        account.remove()
    if more or grown:
        print("LEFT BEHIND:", more, "GROWN by more than 2 MB:", grown)
        return 1
    print("nothing is left behind")
    return 0


if __name__ == "__main__":
    sys.exit(main())
