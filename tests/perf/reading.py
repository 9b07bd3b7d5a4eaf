#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast programs in a container read their image, over the kernel's squashfs (store) and the user's own (FUSE), beside
Apptainer with the same file: the whole command, in turns. Root. Reports, never gates.
  unshare -m --propagation private tests/perf/reading.py --bin build/release/bin --squashfs FILE [--runs 11]
FILE: a squashfs that holds /bin/sh, find and python3 with numpy."""
import argparse
import pathlib
import shutil

from node import Node, apptainer, as_user, measure, report

COMMANDS = {"find /usr | wc": ("/bin/sh", "-c", "find /usr -type f | wc -l"), "import numpy": ("/usr/bin/python3", "-c", "import numpy")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--squashfs", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=int, default=11)
    options = parser.parse_args()
    with Node(options.bin.resolve(), lambda top: shutil.copy(options.squashfs, top / "image.sqsh")) as node:
        for name, command in COMMANDS.items():
            print(name)
            peer_times = apptainer(node.path, options.runs, command)

            def ours(command=command, peer_times=peer_times):
                times = measure({f"{way}, {kind}": node.exec(way, image, *command)
                                 for way, kind, image in (("brokered", "store", node.digest), ("rootless", "own squashfs", node.path))}, options.runs)
                if peer_times:
                    times["Apptainer, own squashfs"] = peer_times
                report(times)
            as_user(ours)


if __name__ == "__main__":
    main()
