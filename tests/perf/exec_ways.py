#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long `slipway exec IMAGE /bin/true` takes in each way, from the start of the front to its end, in turns, beside a
plain /bin/true started the same way and other runtimes that are here. Root. Reports, never gates.
  unshare -m --propagation private tests/perf/exec_ways.py --bin build/release/bin [--runs 100]"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess

from node import UID, Node, apptainer, as_user, measure, report, tiny_image


def peers(top, path):
    """{name: argv} of other runtimes that are installed, on the same tree."""
    root, found = str(top / "root"), {}
    if shutil.which("bwrap"):
        found["bubblewrap, directory"] = [shutil.which("bwrap"), "--unshare-pid", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"]
    if shutil.which("ch-run"):
        found["Charliecloud, directory"] = [shutil.which("ch-run"), "--no-passwd", root, "--", "/bin/true"]
        found["Charliecloud, own squashfs"] = [shutil.which("ch-run"), "--no-passwd", str(path), "--", "/bin/true"]
    if shutil.which("crun"):
        bundle = top / "bundle"
        bundle.mkdir()
        namespaces = [{"type": kind} for kind in ("user", "mount", "pid", "ipc")]
        (bundle / "config.json").write_text(json.dumps({
            "ociVersion": "1.0.2", "root": {"path": root, "readonly": True},
            "process": {"user": {"uid": UID, "gid": UID}, "args": ["/bin/true"], "env": ["PATH=/bin"], "cwd": "/"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}],
            "linux": {"namespaces": namespaces, "uidMappings": [{"containerID": UID, "hostID": UID, "size": 1}],
                      "gidMappings": [{"containerID": UID, "hostID": UID, "size": 1}]}}))
        found["crun, directory"] = [shutil.which("crun"), f"--root={top}/crun", "--cgroup-manager=disabled", "run", "-b", str(bundle), "one"]
        (top / "crun").mkdir()
        os.chown(top / "crun", UID, UID)
    return found


def ranks(top, options):
    """128 ranks in one container beside 128 plain forks, in pairs; as root, so rootless in a namespace of its own."""
    program = options.bin.parent / "tests/perf_ranks"
    if not program.exists():
        return print(f"{program}: not built")
    for count in (16, 128):
        done = subprocess.run([program, top / "slipway-starter-plain", top / "root", str(count), "15", "/bin/true"],
                              capture_output=True, text=True, check=True, user=UID, group=UID, extra_groups=[], cwd="/")
        pairs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        print(f"{count} ranks in a container over {count} plain forks: {statistics.median(a / b for a, b in pairs):.2f} "
              f"(median of {len(pairs)} pairs; {statistics.median(a for a, _ in pairs) / 1000:.1f} ms)")


def explain(argv):
    said = subprocess.run(argv[:2] + ["--explain"] + argv[2:], capture_output=True, text=True, stdin=subprocess.DEVNULL).stderr
    print(" ".join(argv[3:5]), *(line for line in said.splitlines() if line.startswith("time")), flush=True)


def warm(node, rounds, found, peer_times):
    tree = node.top / "root"
    cases = {f"{way}, {kind}": node.exec(way, image, "/bin/true")
             for way, kind, image in (("brokered", "store image, warm", node.digest), ("setuid", "store image, warm", node.digest),
                                      ("rootless", "directory", tree), ("rootless", "own squashfs", node.path))}
    times = measure({"plain /bin/true": ["/bin/true"], "slipway exec --help": [node.slipway, "exec", "--help"], **cases, **found}, rounds)
    if peer_times:
        times["Apptainer, own squashfs"] = peer_times
    report(times)
    for argv in cases.values():
        explain(argv)


def cold(node, rounds, peer_times):
    """Nobody keeps a mount of the image: each start makes its loop device and mounts it."""
    times = measure({"plain /bin/true": ["/bin/true"], "setuid, store image, cold": node.exec("setuid", node.digest, "/bin/true")}, rounds)
    if peer_times:
        times["Apptainer, own squashfs"] = peer_times
    report(times)
    explain(node.exec("setuid", node.digest, "/bin/true"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    options.bin = options.bin.resolve()
    with Node(options.bin, tiny_image) as node:
        found = peers(node.top, node.path)
        peer_times = apptainer(node.path, min(options.runs, 21))
        as_user(lambda: warm(node, options.runs, found, peer_times))
        ranks(node.top, options)
        node.stop_daemons()
        peer_times = apptainer(node.path, min(options.runs, 21))
        as_user(lambda: cold(node, min(options.runs, 40), peer_times))


if __name__ == "__main__":
    main()
