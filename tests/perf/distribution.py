#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One image to one node and to eight, over links of 100 MB/s each: how much longer do eight take? (Promise: ≤ 2.5 ×.)

A dev cluster (root: its nodes have network namespaces of their own); a token bucket on both ends of each node's cable
and on the controller's side of the bridge. Each round brings an image that nobody has to one node, then another of the
same size to eight at once. Time is from the first agent's "fetching" to the last one's "holding", so it includes
verification and the broker's admission. Also printed: how much of it the controller gave, and the processors' time.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime

import slipway_testing as t

NODES = 8


def in_network_of(pid, *argv):
    return subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", *argv], check=True, capture_output=True, text=True).stdout


def limit(pid, device, mbytes):
    in_network_of(pid, "tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", f"{mbytes * 8}mbit",
                  "burst", "256kb", "latency", "50ms")


def limit_links(cluster, mbytes):
    """Both directions of every node's cable, and what the controller sends."""
    head = cluster.pid("slipwayd")
    for link in json.loads(in_network_of(head, "ip", "-json", "link")):
        if link["ifname"] != "lo":
            limit(head, link["ifname"], mbytes)
    for k in range(1, NODES + 1):
        agent = cluster.pid(f"n{k}-agent")
        for link in json.loads(in_network_of(agent, "ip", "-json", "link")):
            if link["ifname"] != "lo":
                limit(agent, link["ifname"], mbytes)


def make_image(folder, base, name, mbytes):
    blob, recipe, sif = folder / f"{name}.bin", folder / f"{name}.def", folder / f"{name}.sif"
    with open(blob, "wb") as out:
        for _ in range(mbytes):
            out.write(os.urandom(1 << 20))
    recipe.write_text(f"Bootstrap: localimage\nFrom: {base}\n%files\n    {blob} /{name}.bin\n")
    t.run([t.SLIPWAY, "build", sif, recipe], timeout=600, check=0)
    blob.unlink()
    return sif


def stamps(log, message, digest):
    for line in log.read_text(errors="replace").splitlines():
        if message in line and digest in line:
            yield datetime.fromisoformat(re.search(r"\d{4}-\d\d-\d\dT[\d:.]+", line).group()), line


def bring(cluster, image, digest, nodes):
    """Seconds, chunks from the controller over chunks of the image, processor seconds of everything."""
    before = os.times(), cpu_seconds()
    t.wait_until("launched", lambda: cluster("launch", f"-N{nodes}", "-n", nodes, "--image", image, "--", "true",
                                             timeout=600).returncode == 0, 600)
    begun, ended, from_controller, chunks = [], [], 0, 0
    for k in range(1, NODES + 1):
        log = next(cluster.state.rglob(f"n{k}-agent.log"))
        begun += [when for when, _ in stamps(log, "fetching an image", digest)]
        for when, line in stamps(log, "holding an image", digest):
            ended.append(when)
            counters = dict(re.findall(r"(\w+)=(\d+)", line))
            chunks = int(counters["chunks"])
            from_controller += int(counters["from_controller"])
    assert len(ended) == nodes, (len(ended), nodes)
    return (max(ended) - min(begun)).total_seconds(), from_controller / chunks, cpu_seconds() - before[1]


def cpu_seconds():
    """Busy seconds of all processors so far."""
    user, nice, system, _, _, irq, softirq = map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mbytes", type=int, default=300, help="size of the image")
    parser.add_argument("--rate", type=int, default=100, help="MB/s of each link")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not t.ROOT or not shutil.which("tc"):
        sys.exit("needs root and tc (iproute2)")
    account = t.Account("slipway-perf")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="slipway-perf-", dir=os.environ.get("SLIPWAY_PERF_DIR", "/var/tmp")))
    folder.chmod(0o755)
    cluster = None
    try:
        base = t.image("tiny")
        cluster = t.Cluster(nodes=NODES, user=account.entry, cores=8)
        limit_links(cluster, options.rate)
        times, shares, cpus = {1: [], NODES: []}, {1: [], NODES: []}, {1: [], NODES: []}
        for turn in range(options.rounds):
            for nodes in (1, NODES):
                name = f"image{turn}of{nodes}"
                sif = make_image(folder, base, name, options.mbytes)
                cluster("image", "add", sif, name, check=0, timeout=600)
                sif.unlink()
                digest = next(i["digest"] for i in cluster.json("image", "ls")["images"] if name in i["name"])
                seconds, share, cpu = bring(cluster, name, digest, nodes)
                times[nodes].append(seconds)
                shares[nodes].append(share)
                cpus[nodes].append(cpu)
                print(f"  {nodes} nodes: {seconds:.2f} s, {share:.2f} images from the controller, {cpu:.1f} s of processors",
                      flush=True)
        ratio = statistics.median(b / a for a, b in zip(times[1], times[NODES]))
        print(f"one image of {options.mbytes} MB over links of {options.rate} MB/s, median of {options.rounds}: one node "
              f"{statistics.median(times[1]):.2f} s, {NODES} nodes {statistics.median(times[NODES]):.2f} s, ratio {ratio:.2f} "
              f"(promise: 2.5); the controller gave {statistics.median(shares[NODES]):.2f} images; processors busy "
              f"{statistics.median(cpus[1]):.1f} and {statistics.median(cpus[NODES]):.1f} s")
    finally:
        if cluster:
            cluster.down()
        account.remove()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
